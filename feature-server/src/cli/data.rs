//! The arguments of the commands on data folders: export, import, verify and backup.

use std::path::PathBuf;

use clap::Args;

/// The target of an export.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = EXPORT_EXAMPLES)]
pub struct ExportArgs {
    /// The file to write; it is replaced when the export is whole [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// The source of an import.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = IMPORT_EXAMPLES)]
pub struct ImportArgs {
    /// The export to read
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// The folder to verify.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = VERIFY_EXAMPLES)]
pub struct VerifyArgs {
    /// A data folder or a backup [default: the data folder of the configuration]
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}

/// The target of a backup, and its content.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = BACKUP_EXAMPLES)]
pub struct BackupArgs {
    /// The folder to make; it must be missing or empty
    #[arg(value_name = "TARGET")]
    pub target: PathBuf,
    /// Leave out the signing keys, with which tokens can be minted
    #[arg(long)]
    pub without_keys: bool,
}

const EXPORT_EXAMPLES: &str = "\
Examples:
  feature-server export --output features.jsonl
  feature-server export --data /var/backups/features/monday | sha256sum
  feature-server export | jq -c 'select(.scope.user == \"ann\")'

The server must be stopped; while it runs, export a backup. The same history gives the same bytes.
The keys are not in it. docs/export-format.md describes the lines.
Exit codes: 0 whole, 65 the data folder is damaged, 64 bad usage, 1 anything else.";

const IMPORT_EXAMPLES: &str = "\
Examples:
  feature-server import features.jsonl
  feature-server import features.jsonl --data /var/lib/feature-server

The data folder must be missing or empty, but for keys. The whole history is taken over, with the id of the store.
When a line is wrong, nothing is imported.
Exit codes: 0 imported, 65 the file is damaged or not an export, 64 bad usage, 1 anything else.";

const VERIFY_EXAMPLES: &str = "\
Examples:
  feature-server verify
  feature-server verify /var/backups/features/monday

The server must be stopped; while it runs, make a backup, which is verified. Nothing is changed. A copy of the
projection is put into the folder that TMPDIR names, and removed again.
Exit codes: 0 in order, 65 something is damaged, 64 bad usage, 1 anything else, so that nothing is known.";

const BACKUP_EXAMPLES: &str = "\
Examples:
  feature-server backup /var/backups/features/monday
  feature-server backup --without-keys \"/var/backups/features/$(date +%F)\" --data /var/lib/feature-server

The server may run. Every write that it has acknowledged before is in the copy, which is checked before it counts.
To restore, copy the backup to where the data folder was: see docs/operations.md.
Exit codes: 0 done, 65 the data folder is damaged, 64 bad usage, 1 anything else.";
