//! The program that acts for kcp-operator: the command line of the real one, then [`sandbox::control::run`].
//!
//! `STANDIN_LAG`, which the real one does not know, is the part of the real delays that is kept (1: as seen, 0: none).

use std::process::ExitCode;

use clap::Parser;
use sandbox::operator::{KINDS, Settings, decide, quirks::Quirks};
use sandbox::program;

/// Acts for kcp-operator v0.9.0.
#[derive(Parser)]
#[command(name = "kcp-operator")]
struct Arguments {
    #[command(flatten)]
    program: program::Flags,
    /// Controller groups to run
    #[arg(long, value_delimiter = ',', default_value = "config,workload", value_parser = ["config", "workload"])]
    enabled_controller_groups: Vec<String>,
    /// FEATURE=true|false; the only feature is ConfigurationBundle
    #[arg(long, value_delimiter = ',', value_parser = feature)]
    feature_gates: Vec<bool>,
}

fn feature(gate: &str) -> Result<bool, String> {
    match gate.split_once('=') {
        Some(("ConfigurationBundle", value)) => value.parse().map_err(|_| format!("invalid value of {gate}")),
        Some((name, _)) => Err(format!("unrecognized feature gate: {name}")),
        None => Err(format!("missing bool value for {gate}")),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let has = |group: &str| arguments.enabled_controller_groups.iter().any(|enabled| enabled == group);
    let settings = Settings {
        config: has("config"),
        workload: has("workload"),
        bundles: arguments.feature_gates.last().copied().unwrap_or(false),
        quirks: Quirks::hurried(arguments.program.lag()),
    };
    program::run(&arguments.program, "kcp-operator", KINDS, move |world, now| decide(world, &settings, now)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_of_the_real_one_is_taken() {
        let line = "kcp-operator --kubeconfig k --metrics-bind-address=0 --health-probe-bind-address=127.0.0.1:1 --leader-elect \
                    --enabled-controller-groups=config,workload --feature-gates=ConfigurationBundle=true";
        let arguments = Arguments::try_parse_from(line.split_whitespace()).unwrap();
        assert_eq!(arguments.enabled_controller_groups, ["config", "workload"]);
        assert_eq!(arguments.feature_gates, [true]);
        assert!(Arguments::try_parse_from(["kcp-operator", "--kubeconfig=k", "--feature-gates=Another=true"]).is_err());
    }
}
