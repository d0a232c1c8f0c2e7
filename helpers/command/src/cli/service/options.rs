//! The options of `up` that concern the machine around it.

use std::path::PathBuf;

use bringup_core::time::Duration;

use super::names::Way;
use crate::cli::text;

/// What a running `up` does for the machine around it.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "For the machine around it")]
pub struct ServiceOptions {
    /// How to tell the DNS servers to other programs
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Way::None)]
    pub resolv_conf: Way,
    /// The file for `--resolv-conf file`
    #[arg(long, value_name = "FILE", default_value = "/etc/resolv.conf")]
    pub resolv_conf_file: PathBuf,
    /// Run this program at each change: facts in its environment, and as JSON on its standard input
    #[arg(long, value_name = "PROGRAM")]
    pub hook: Vec<PathBuf>,
    /// Kill a hook that takes longer
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = text::duration)]
    pub hook_timeout: Duration,
    /// Where `bringup status` can ask [default: /run/bringup/status.sock, without --once and --dry-run]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

impl ServiceOptions {
    /// Whether other programs are run, or the machine's resolv.conf is written, for which some are.
    pub fn runs_programs(&self) -> bool {
        !self.hook.is_empty() || self.resolv_conf != Way::None
    }
}
