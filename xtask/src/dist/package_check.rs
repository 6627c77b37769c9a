//! Installs the Debian package, runs the service's command as its user, upgrades, removes and purges it.
//!
//! This happens in a throwaway layer over the root file system, so the machine stays as it is. systemd does not run
//! there: the script does for the unit what systemd would do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{debian_package, empty, files, time_of_the_commit};
use crate::shell::{Workspace, run};

/// The steps, inside of the layer.
const STEPS: &str = include_str!("package_check.sh");

/// Makes the layer in the folder `$1`, copies the files from there, and runs the steps. The mounts end with the
/// process, since they are in a namespace of its own.
const LAYER: &str = r#"set -eu
mount -t tmpfs -o mode=0755 layer "$1/layer"
cd "$1/layer"
mkdir above work root
mount -t overlay -o lowerdir=/,upperdir=above,workdir=work layer root
mkdir root/package-check
cp "$1"/*.deb "$1"/steps root/package-check/
for folder in dev proc; do mount --rbind "/$folder" "root/$folder"; done
exec chroot root bash /package-check/steps
"#;

/// Checks the package in `target/dist`, which has the binary of this build profile.
pub fn check(workspace: &Workspace, profile: &str) -> Result<()> {
    let folder = empty(workspace.target("package-check"))?;
    fs::create_dir(folder.join("layer")).context("creating the folder of the layer")?;
    let package = the_package(&workspace.target("dist"))?;
    fs::copy(&package, folder.join("first.deb")).with_context(|| format!("copying {}", package.display()))?;
    let (second, time) = (folder.join("second.deb"), time_of_the_commit(workspace)?);
    debian_package(workspace, profile, &second, Some("999.0.0-1"), &time)?;
    let (steps, script) = (folder.join("steps"), folder.join("script"));
    fs::write(steps, STEPS).context("writing the steps")?;
    fs::write(&script, LAYER).context("writing the script")?;
    run(Command::new("unshare").args(["--mount", "bash"]).arg(script).arg(&folder))
        .context("the check of the package failed; it needs root and overlayfs")
}

fn the_package(folder: &Path) -> Result<PathBuf> {
    let package = files(folder)?.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "deb"));
    package.context("there is a package")
}
