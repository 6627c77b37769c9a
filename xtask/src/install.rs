//! Installs the programs that the tests need and the machine lacks. Looks for them locally, never in a registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell::{Workspace, on_path, run_quietly};

/// Debian packages, each with a program that shows that it is installed.
type Packages = &'static [(&'static str, &'static str)];

/// systemd is needed for `systemd-analyze`, which checks the unit. No service is started. bubblewrap plays a container.
const FOR_TESTS: Packages = &[
    ("bubblewrap", "bwrap"),
    ("chromium", "chromium"),
    ("curl", "curl"),
    ("faketime", "faketime"),
    ("postgresql", "pg_lsclusters"),
    ("prometheus", "prometheus"),
    ("systemd", "systemd-analyze"),
    ("util-linux", "nsenter"),
];

/// Only root can cut the power of a file system, and only root certainly has these on the path. Patroni keeps the state
/// of a fleet's database in etcd.
const FOR_CAMPAIGNS: Packages = &[
    ("e2fsprogs", "mkfs.ext4"),
    ("etcd-server", "etcd"),
    ("faketime", "faketime"),
    ("mount", "losetup"),
    ("nftables", "nft"),
    ("patroni", "patroni"),
    ("perl-base", "perl"),
    ("postgresql", "pg_lsclusters"),
    ("strace", "strace"),
];

const FOR_BENCHMARKS: Packages = &[("etcd-server", "etcd"), ("postgresql", "pg_lsclusters")];

const FOR_PROFILES: Packages = &[("linux-perf", "perf")];

/// Installs what is missing. Prints a line for each.
pub fn install(workspace: &Workspace) -> Result<()> {
    debian(FOR_TESTS)?;
    node(workspace)?;
    python(workspace)
}

/// Installs missing programs for the campaigns.
pub fn install_for_campaigns() -> Result<()> {
    debian(FOR_CAMPAIGNS)
}

/// Installs missing programs for the benchmarks.
pub fn install_for_benchmarks() -> Result<()> {
    debian(FOR_BENCHMARKS)
}

/// Installs missing programs for the profiles.
pub fn install_for_profiles() -> Result<()> {
    debian(FOR_PROFILES)
}

/// A program of a crate: the developer's own, or one in the target folder, which is installed if it is missing.
pub fn cargo_tool(workspace: &Workspace, name: &str, version: &str, program: &str) -> Result<PathBuf> {
    if on_path(program) {
        return Ok(program.into());
    }
    let root = workspace.target("tools");
    let path = root.join("bin").join(program);
    if !path.exists() {
        println!("installing from crates.io: {name} {version}");
        let mut command = workspace.cargo("install");
        // Tools run for seconds and compile for minutes, half of them in the optimizer.
        command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0").env("CARGO_PROFILE_RELEASE_LTO", "off");
        run_quietly(command.args([name, "--locked", "--version", version, "--root"]).arg(&root))?;
    }
    Ok(path)
}

fn debian(packages: Packages) -> Result<()> {
    let missing = packages.iter().filter(|(_, program)| !on_path(program)).map(|(package, _)| *package);
    let missing: Vec<_> = missing.collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing Debian packages: {}", missing.join(" "));
    // The package lists of a fresh machine are absent or old; on other machines they need no update.
    if run_quietly(apt_get("install").args(&missing)).is_err() {
        run_quietly(&mut apt_get("update"))?;
        run_quietly(apt_get("install").args(&missing)).context("root is needed to install Debian packages")?;
    }
    Ok(())
}

fn apt_get(subcommand: &str) -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").arg(subcommand);
    if subcommand == "install" {
        command.args(["--yes", "--no-install-recommends"]);
    }
    command
}

fn node(workspace: &Workspace) -> Result<()> {
    let folder = workspace.path("tests/clients/node");
    let stamp = Stamp::new(&folder.join("package-lock.json"), &folder.join("node_modules"))?;
    if stamp.holds() {
        return Ok(());
    }
    println!("installing npm packages: tests/clients/node/package-lock.json");
    run_quietly(Command::new("npm").args(["ci", "--loglevel=error"]).current_dir(&folder))?;
    stamp.write()
}

fn python(workspace: &Workspace) -> Result<()> {
    let environment = workspace.target("test-clients/python");
    let requirements = workspace.path("tests/clients/python/requirements.txt");
    let stamp = Stamp::new(&requirements, &environment)?;
    // The interpreter is a link, which breaks when the Python that created the environment is removed.
    if stamp.holds() && environment.join("bin/python").exists() {
        return Ok(());
    }
    println!("installing Python packages: tests/clients/python/requirements.txt");
    run_quietly(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    run_quietly(Command::new(environment.join("bin/python")).args(pip).arg(&requirements))?;
    stamp.write()
}

/// A copy of the lock file beside the installed packages, written when the installation is complete.
struct Stamp {
    lock: Vec<u8>,
    copy: std::path::PathBuf,
}

impl Stamp {
    fn new(lock: &Path, installed: &Path) -> Result<Self> {
        let lock = fs::read(lock).with_context(|| format!("reading {}", lock.display()))?;
        Ok(Self { lock, copy: installed.join(".installed") })
    }

    fn holds(&self) -> bool {
        fs::read(&self.copy).is_ok_and(|copy| copy == self.lock)
    }

    fn write(&self) -> Result<()> {
        fs::write(&self.copy, &self.lock).with_context(|| format!("writing {}", self.copy.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Stamp;

    #[test]
    fn a_stamp_holds_until_the_lock_file_changes() {
        let folder = std::env::temp_dir().join(format!("xtask-stamp-{}", std::process::id()));
        let lock = folder.join("lock");
        fs::create_dir_all(&folder).unwrap();
        fs::write(&lock, "one").unwrap();
        let stamp = Stamp::new(&lock, &folder).unwrap();
        assert!(!stamp.holds(), "nothing was installed yet");
        stamp.write().unwrap();
        assert!(stamp.holds());
        fs::write(&lock, "two").unwrap();
        assert!(!Stamp::new(&lock, &folder).unwrap().holds(), "another lock file");
        fs::remove_dir_all(&folder).unwrap();
    }
}
