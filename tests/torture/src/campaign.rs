//! The campaigns on a data folder, one module each. The attacks on the listener are in `attack`.

pub mod damage;
pub mod full;
pub mod io;
pub mod kill;
pub mod power;
pub mod projection;
pub mod series;
pub mod starts;
pub mod watch;
