//! The data folder: who may read it, how a start finds it, what outlives the process, and the commands on it.

mod folder;
mod permissions;
mod restart;
mod tools;
