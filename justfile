# `just` alone lists the commands. A newcomer needs none of them: the README has the plain ones.

default:
    @just --list

# what CI requires
check: fmt-check core-alone lint doc test

# every test; the lab's say in words when they were left out
test *ARGS:
    cargo test --workspace {{ARGS}}

lint:
    cargo clippy --workspace --all-targets -- -D warnings

fmt:
    cargo fmt --all

fmt-check:
    cargo fmt --all --check

# features unify in a workspace build, so the pure half is checked by itself too
core-alone:
    cargo check -p engine-core

doc:
    RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps

# licences, advisories and doubled dependencies; needs cargo-deny
deny:
    cargo deny check

# accept changed snapshots; needs cargo-insta
snap:
    cargo insta review

# the WASM components that we ship, into steps/custom/built (two minutes the first time)
guests:
    steps/custom/build
    cd steps/custom && cargo test

# every component that this machine can build, in every language, with its cases and the conformance suite
guests-test:
    cargo build -q --workspace --bins
    cargo run -q -p engine-tests --bin guests

# ratios against bare limits of this machine
bench:
    cargo build --release -p engine -p engine-bench
    cargo run --release -p engine-bench

# the whole in a minute, without a cluster
demo:
    cargo run --release -- demo

# builds etcd, kube-apiserver and the rest from their Go modules (about 20 minutes the first time); --zheng for kcp and its world too
lab-build *ARGS:
    cargo run -q -p engine-tests --bin lab -- build {{ARGS}}

# three control planes and a DNS server, as processes; --zheng, as root: those of kcp-zheng, in a network of their own
lab-up *DIR:
    cargo run -q -p engine-tests --bin lab -- up {{DIR}}

lab-down *DIR:
    cargo run -q -p engine-tests --bin lab -- down {{DIR}}

# a fresh lab, workflows/region-trust.kdl twice and once with kills
lab-trust:
    cargo build --release -p engine
    cargo run -q --release -p engine-tests --bin lab -- trust
