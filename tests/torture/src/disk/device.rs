//! A disk whose power can be cut: an ext4 file system in a file, mounted over a loop device. Dropping it unmounts and
//! deletes it.
//!
//! The cut is ext4's own shutdown without a flush of its journal: unwritten data is lost, and running calls fail. The
//! cut does not simulate a disk whose cache ignores flushes.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use tempfile::TempDir;

/// The size of the file system. The file is sparse.
const DEVICE_BYTES: u64 = 1024 * 1024 * 1024;

/// Sends `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`. A Perl script, since Rust's standard library has no
/// ioctl and Debian always has Perl.
const SHUTDOWN: &str = r#"
    open(my $folder, "<", $ARGV[0]) or die "cannot open $ARGV[0]: $!\n";
    my $flag = pack("L", 2);
    ioctl($folder, 0x8004587d, $flag) or die "EXT4_IOC_SHUTDOWN: $!\n";
"#;

/// A file system, mounted or not, and the file that contains it.
pub struct Device {
    folder: TempDir,
    options: &'static str,
    is_mounted: bool,
}

impl Device {
    /// Makes and mounts a new file system.
    ///
    /// * `format`: arguments of `mkfs.ext4`.
    /// * `options`: options of `mount`, separated by commas.
    ///
    /// # Errors
    /// Also when loop devices, the tools of ext4 or root rights are missing.
    pub fn new(format: &[&str], options: &'static str) -> Result<Self> {
        let folder = TempDir::new()?;
        File::create(folder.path().join("image"))?.set_len(DEVICE_BYTES)?;
        let image = folder.path().join("image");
        run("mkfs.ext4", format.iter().map(OsStr::new).chain([OsStr::new("-q"), image.as_os_str()]))
            .context("this campaign needs the tools of ext4 (Debian's e2fsprogs)")?;
        let mut device = Self { folder, options, is_mounted: false };
        fs::create_dir(device.path())?;
        device.mount().context("this campaign needs loop devices, ext4 in the kernel, and root")?;
        Ok(device)
    }

    /// The mount point.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("mount")
    }

    /// Mounts the file system. ext4 recovers first if the power was cut.
    pub fn mount(&mut self) -> Result<()> {
        let (image, path, options) = (self.image(), self.path(), format!("loop,{}", self.options));
        let files = [image.as_os_str(), path.as_os_str()];
        run("mount", ["-t", "ext4", "-o", &options].map(OsStr::new).into_iter().chain(files))?;
        self.is_mounted = true;
        Ok(())
    }

    /// Cuts the power.
    pub fn cut(&self) -> Result<()> {
        run("perl", ["-e".as_ref(), SHUTDOWN.as_ref(), self.path().as_os_str()])
    }

    /// Unmounts the file system. No process may have a file on it open.
    pub fn unmount(&mut self) -> Result<()> {
        run("umount", [self.path()])?;
        self.is_mounted = false;
        Ok(())
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.is_mounted && self.unmount().is_err() {
            // A killed server may still have files open; a lazy unmount takes effect when they are closed.
            if let Err(error) = run("umount", ["--lazy".as_ref(), self.path().as_os_str()]) {
                eprintln!("error: {} stays mounted: {error:#}", self.path().display());
            }
        }
    }
}

/// Makes a file that takes the space of its file system, but for so many bytes.
pub fn fill(path: &Path, left: u64) -> Result<()> {
    let file = File::create(path)?;
    let mut length = 0;
    loop {
        let free = statvfs(path)?;
        let more = (free.f_bavail * free.f_frsize).saturating_sub(left);
        // The file system needs an unknown amount for its own data.
        let more = if more > 1 << 20 { more - (1 << 19) } else { more };
        if more == 0 || fallocate(&file, FallocateFlags::empty(), length, more).is_err() {
            break;
        }
        length += more;
    }
    let free = statvfs(path)?;
    let free = free.f_bavail * free.f_frsize;
    ensure!(free <= left + (1 << 19), "{free} bytes are still free");
    Ok(())
}

/// Runs a program until it ends. Its output shows only in the error.
fn run(program: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<()> {
    let mut command = Command::new(program);
    let output =
        command.args(arguments).stdin(Stdio::null()).output().with_context(|| format!("starting {program}"))?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    Ok(())
}
