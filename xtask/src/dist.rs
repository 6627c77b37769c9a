//! Makes what a release consists of, in `target/dist`: a tarball, a Debian package, a bill of materials, checksums.
//!
//! The same commit gives the same bytes on the same machine.

mod package_check;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::install;
use crate::shell::{Workspace, run};

pub use package_check::check;

/// Makes the Debian package. Its scripts are those of Debian's own packages.
const CARGO_DEB: &str = "3.8.0";

/// Makes the bill of materials from what cargo knows. cargo-auditable would write it into the binary, which then has
/// to be built once more for that.
const CARGO_CYCLONEDX: &str = "0.5.9";

/// The build profile of what is shipped.
pub const PRODUCTION: &str = "production";

/// The build profile of the campaigns, whose binary CI packs: it is there already.
pub const RELEASE: &str = "release";

/// What the tarball has beside the binary, the manual and the documents: the file, its folder in the tarball.
const FILES: [(&str, &str); 9] = [
    ("README.md", ""),
    ("CHANGELOG.md", ""),
    ("SECURITY.md", ""),
    ("deploy/grafana-dashboard.json", "deploy"),
    ("deploy/prometheus-rules.yml", "deploy"),
    ("LICENSE", ""),
    ("feature-server.toml", ""),
    ("deploy/feature-server.service", "systemd"),
    ("deploy/feature-server.sysusers", "systemd"),
];

/// Makes everything from the binary of a build profile. Only [`PRODUCTION`] is built here.
pub fn dist(workspace: &Workspace, profile: &str) -> Result<()> {
    if profile == PRODUCTION {
        run(workspace.cargo("build").args(["--profile", PRODUCTION, "--locked", "--package", "feature-server"]))?;
    }
    let binary = binary(workspace, profile);
    if !binary.exists() {
        bail!("{} is missing: build it, or leave --no-build out", binary.display());
    }
    let folder = empty(workspace.target("dist"))?;
    let time = time_of_the_commit(workspace)?;
    manual(workspace, profile)?;
    let name = format!("feature-server-{}-linux-{}", version(workspace)?, std::env::consts::ARCH);
    tarball(workspace, profile, &folder, &name, &time)?;
    debian_package(workspace, profile, &folder, None, &time)?;
    bill_of_materials(workspace, &folder.join(format!("{name}.cdx.json")), &time)?;
    let names = artifacts(&folder)?;
    let sums = output(Command::new("sha256sum").args(&names).current_dir(&folder))?;
    fs::write(folder.join("SHA256SUMS"), sums).context("writing SHA256SUMS")?;
    for name in names {
        let bytes = fs::metadata(folder.join(&name)).with_context(|| format!("reading {name}"))?.len();
        println!("{:>6.1} MiB  {}", bytes as f64 / f64::from(1 << 20), folder.join(name).display());
    }
    Ok(())
}

fn binary(workspace: &Workspace, profile: &str) -> PathBuf {
    workspace.target(&format!("{profile}/feature-server"))
}

/// The folder of the manual and the completions. cargo-deb takes `target/release` in its assets for the folder of the
/// profile.
fn manual_folder(workspace: &Workspace, profile: &str) -> PathBuf {
    workspace.target(&format!("{profile}/manual"))
}

/// The version of the server.
fn version(workspace: &Workspace) -> Result<String> {
    let server = workspace.metadata.packages.iter().find(|package| *package.name == "feature-server");
    Ok(server.context("the workspace has the server")?.version.to_string())
}

/// The time of all files in the artifacts, in seconds of Unix: `SOURCE_DATE_EPOCH`, or that of the last commit.
fn time_of_the_commit(workspace: &Workspace) -> Result<String> {
    if let Ok(time) = std::env::var("SOURCE_DATE_EPOCH") {
        return Ok(time);
    }
    let time = output(workspace.command("git").args(["log", "-1", "--format=%ct"]))?;
    Ok(time.trim().to_owned())
}

/// An example of feature-server writes these: it needs the server's code, which xtask does not depend on. With the
/// whole workspace, what the tests have compiled is used again.
fn manual(workspace: &Workspace, profile: &str) -> Result<()> {
    run(workspace.cargo("build").args(["--quiet", "--locked", "--workspace", "--example", "manual"]))?;
    let folder = empty(manual_folder(workspace, profile))?;
    run(workspace.command(workspace.target("debug/examples/manual")).arg(&folder))?;
    // Debian's manual pages are compressed; cargo-deb leaves files of a build as they are.
    let pages = files(&folder)?.into_iter().filter(|path| is_page(path));
    run(Command::new("gzip").args(["-9", "--no-name", "--keep"]).args(pages))
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "1")
}

fn tarball(workspace: &Workspace, profile: &str, folder: &Path, name: &str, time: &str) -> Result<()> {
    let content = folder.join(name);
    let place = |mode: &str, file: &Path, subfolder: &str| {
        let target = content.join(subfolder);
        run(Command::new("install").args(["-D", "--mode", mode, "--target-directory"]).arg(target).arg(file))
    };
    place("755", &binary(workspace, profile), "")?;
    for (file, subfolder) in FILES {
        place("644", &workspace.path(file), subfolder)?;
    }
    for document in files(&workspace.path("docs"))? {
        place("644", &document, "docs")?;
    }
    for file in files(&manual_folder(workspace, profile))? {
        if file.extension().is_none_or(|ending| ending != "gz") {
            place("644", &file, if is_page(&file) { "man" } else { "completions" })?;
        }
    }
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=a+rX,go-w"]);
    tar.arg(format!("--mtime=@{time}"));
    // Without its name and time in the header.
    tar.args(["--use-compress-program", "gzip -9 --no-name", "--create", "--file", &format!("{name}.tar.gz"), name]);
    run(tar.current_dir(folder))?;
    fs::remove_dir_all(&content).with_context(|| format!("removing {}", content.display()))
}

/// The package with this version, or with that of the server.
fn debian_package(
    workspace: &Workspace,
    profile: &str,
    target: &Path,
    version: Option<&str>,
    time: &str,
) -> Result<()> {
    let cargo_deb = install::cargo_tool(workspace, "cargo-deb", CARGO_DEB, "cargo-deb")?;
    let mut command = workspace.command(cargo_deb);
    // The names of functions stay for the backtraces of panics.
    command.args(["deb", "--quiet", "--locked", "--no-build", "--no-strip", "--profile", profile]);
    command.args(["--package", "feature-server"]);
    command.arg("--output").arg(target).env("SOURCE_DATE_EPOCH", time);
    if let Some(version) = version {
        command.args(["--fast", "--deb-version", version]);
    }
    run(&mut command)
}

/// All crates that are linked into the server, as CycloneDX.
fn bill_of_materials(workspace: &Workspace, target: &Path, time: &str) -> Result<()> {
    let tool = install::cargo_tool(workspace, "cargo-cyclonedx", CARGO_CYCLONEDX, "cargo-cyclonedx")?;
    let mut command = workspace.command(tool);
    command.args(["cyclonedx", "--quiet", "--format", "json", "--spec-version", "1.5", "--no-build-deps"]);
    command.args(["--override-filename", "bill-of-materials", "--manifest-path", "feature-server/Cargo.toml"]);
    run(command.env("SOURCE_DATE_EPOCH", time))?;
    // The tool writes a file beside the manifest of each member, with the path of this machine.
    for package in &workspace.metadata.packages {
        let written = package.manifest_path.with_file_name("bill-of-materials.json");
        let text = fs::read_to_string(&written).with_context(|| format!("reading {written}"))?;
        if *package.name == "feature-server" {
            let text = text.replace(workspace.metadata.workspace_root.as_str(), "");
            fs::write(target, text).with_context(|| format!("writing {}", target.display()))?;
        }
        fs::remove_file(&written).with_context(|| format!("removing {written}"))?;
    }
    Ok(())
}

/// Makes a folder, or empties it.
fn empty(folder: PathBuf) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    Ok(folder)
}

/// The names of the files in the folder of artifacts.
fn artifacts(folder: &Path) -> Result<Vec<String>> {
    let names = files(folder)?.into_iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
    Ok(names.collect())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    Ok(paths)
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("starting {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("{} failed ({})", command.get_program().display(), output.status);
    }
    String::from_utf8(output.stdout).context("the output is text")
}
