//! The program that acts for etcd-druid: KUBECONFIG says where, as with the real one; then [`sandbox::control::run`].

use std::process::ExitCode;

use clap::Parser;
use sandbox::druid::{KINDS, Settings, decide};
use sandbox::program;

/// Acts for etcd-druid v0.33.0.
#[derive(Parser)]
#[command(name = "etcd-druid")]
struct Arguments {
    #[command(flatten)]
    program: program::Flags,
    /// Carry out a changed spec without the annotation druid.gardener.cloud/operation=reconcile
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, default_value_t = false)]
    enable_etcd_spec_auto_reconcile: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let reconciles_by_itself = arguments.enable_etcd_spec_auto_reconcile;
    let settings = Settings { reconciles_by_itself, ..Settings::stock() };
    program::run(&arguments.program, "etcd-druid", KINDS, move |world, now| decide(world, &settings, now)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_of_the_real_one_is_taken() {
        let line = ["etcd-druid", "--kubeconfig=k", "--metrics-bind-address=0", "--enable-etcd-spec-auto-reconcile"];
        assert!(Arguments::try_parse_from(line).unwrap().enable_etcd_spec_auto_reconcile);
    }
}
