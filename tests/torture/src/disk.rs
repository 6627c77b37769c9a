//! Disks and data folders: devices that lose power, system calls that fail, and files as bytes.

pub mod commands;
pub mod device;
pub mod folder;
pub mod prepared;
pub mod segment;
pub mod strace;
