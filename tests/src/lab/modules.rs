//! The Go modules of `tests/lab`: which programs each makes, and which files of other modules a lab needs beside them. How they are
//! built is in [`super::build`]. Each is a module of its own because they want different versions of the same libraries.

/// One directory of `tests/lab` with a `go.mod`.
#[derive(Debug)]
pub struct Module {
    /// Its directory, and the name of its stamp.
    pub name: &'static str,
    /// For a person who waits: what is in it, and how long that takes on two cores.
    pub holds: &'static str,
    pub takes: &'static str,
    pub programs: &'static [Program],
    /// Further flags for the linker.
    pub link: &'static str,
    pub definitions: &'static [Definitions],
    /// How a person asks for it.
    pub command: &'static str,
}

/// A program, and the package of its `main`.
#[derive(Debug)]
pub struct Program {
    pub name: &'static str,
    pub package: &'static str,
}

/// CustomResourceDefinitions that lie in a module which is downloaded for the build anyway: they are copied to where the programs
/// are, so that a lab comes up without Go.
#[derive(Debug)]
pub struct Definitions {
    pub module: &'static str,
    pub directory: &'static str,
    /// The files that end so.
    pub ending: &'static str,
    /// The directory they get, below that of all definitions.
    pub name: &'static str,
}

/// Kubernetes itself. Every lab needs it.
pub static KUBE: Module = Module {
    name: "kube",
    holds: "Kubernetes 1.34.4 and etcd",
    takes: "10 to 20 minutes the first time, half a minute after that",
    programs: &[Program { name: "kube", package: "." }],
    // Said by `/version` of every API server here.
    link: "-X k8s.io/component-base/version.gitVersion=v1.34.4 -X k8s.io/component-base/version.gitMajor=1 \
           -X k8s.io/component-base/version.gitMinor=34 -X k8s.io/component-base/version.gitTreeState=clean \
           -X k8s.io/component-base/version.buildDate=2026-01-01T00:00:00Z",
    definitions: &[],
    command: "just lab-build",
};

/// A registry for components, which tests use apart from a lab ([`crate::registry`]). Built with Kubernetes: it is small.
pub static REGISTRY: Module = Module {
    name: "registry",
    holds: "the distribution registry 3.0.0",
    takes: "a minute or two the first time",
    programs: &[Program { name: "registry", package: "." }],
    link: "",
    definitions: &[],
    command: "just lab-build",
};

/// What only the lab of `lab up --zheng` runs, in the order in which they are built: the quick ones first.
pub static ZHENG: [Module; 3] = [
    Module {
        name: "certmanager",
        holds: "cert-manager 1.21.2",
        takes: "4 to 8 minutes the first time",
        programs: &[Program { name: "cert-manager", package: "." }],
        link: "",
        definitions: &[Definitions {
            module: "github.com/cert-manager/cert-manager",
            directory: "deploy/crds",
            ending: ".yaml",
            name: "cert-manager",
        }],
        command: ZHENG_COMMAND,
    },
    Module {
        name: "helm",
        holds: "helm 3.22",
        takes: "3 to 5 minutes the first time",
        programs: &[Program { name: "helm", package: "helm.sh/helm/v3/cmd/helm" }],
        link: "",
        definitions: &[],
        command: ZHENG_COMMAND,
    },
    Module {
        name: "kcp",
        holds: "kcp 0.32.3",
        takes: "11 to 25 minutes the first time",
        programs: &[
            Program { name: "kcp", package: "github.com/kcp-dev/kcp/cmd/kcp" },
            Program { name: "kcp-front-proxy", package: "github.com/kcp-dev/kcp/cmd/kcp-front-proxy" },
        ],
        link: "",
        definitions: &[Definitions {
            module: "github.com/kcp-dev/kcp",
            directory: "contrib/production/etcd-druid",
            ending: ".druid.gardener.cloud.yaml",
            name: "etcd-druid",
        }],
        command: ZHENG_COMMAND,
    },
];

const ZHENG_COMMAND: &str = "just lab-build --zheng";

/// The module that makes a program.
pub fn module_of(program: &str) -> &'static Module {
    let makes = |module: &&Module| module.programs.iter().any(|made| made.name == program);
    ZHENG.iter().chain([&KUBE]).find(makes).expect("only programs of the table are asked for")
}

impl Module {
    /// The file that says what its programs were built from.
    pub fn stamp(&self) -> String {
        format!("{}.stamp", self.name)
    }
}
