//! Writes the manual pages and the completions of shells into a folder; `cargo xtask dist` runs this.

use std::path::PathBuf;
use std::{env, fs, io};

use clap_complete::{Shell, generate_to};
use feature_server::cli::CommandLine;

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).map(PathBuf::from).ok_or_else(|| io::Error::other("name a folder"))?;
    fs::create_dir_all(&folder)?;
    clap_mangen::generate_to(CommandLine::definition(), &folder)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut CommandLine::definition(), "feature-server", &folder)?;
    }
    Ok(())
}
