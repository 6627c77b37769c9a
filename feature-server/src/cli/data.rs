//! The arguments of the commands on data folders: export, import, verify and backup. What they do is in `data`.

use std::path::PathBuf;

use clap::Args;

/// Where an export goes to.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = EXPORT_EXAMPLES)]
pub struct ExportArgs {
    /// The file to write, replaced when the export is whole [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

const EXPORT_EXAMPLES: &str = "\
Examples:
  feature-server export > features.jsonl
  feature-server export --output features.jsonl --data /var/lib/feature-server
  feature-server export | jq -c 'select(.scope.user == \"ann\")'

The server must be stopped, or use 'feature-server backup' and export that: --data names any folder with a store.
The same history gives the same bytes. The format is described in ARCHITECTURE.md.";
