//! Goroutines, channels, select and the network of libweft. README.md says what thread-locals mean on goroutines.
//!
//! The library is started by the first call, and stays.

mod chan;
mod ffi;
mod go;
mod net;
mod select;

pub use chan::{Chan, RecvTimeoutError, SendError, TrySendError};
pub use go::{go, go_light, sleep, yield_now, Cancelled, JoinHandle};
pub use net::{dial, Conn, Listener};
pub use select::Select;

use std::fmt;
use std::sync::Once;
use std::time::Duration;

/// What a function of Weft has returned, below 0.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Error(i32);

impl Error {
    /// The negative of an errno.
    pub fn code(self) -> i32 {
        self.0
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: the text is a literal of the library's.
        let text = unsafe { std::ffi::CStr::from_ptr(ffi::weft_strerror(self.0)) };
        write!(f, "{} ({})", text.to_string_lossy(), self.0)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Error {}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        std::io::Error::from_raw_os_error(-error.0)
    }
}

fn check(result: i32) -> Result<i32, Error> {
    if result < 0 { Err(Error(result)) } else { Ok(result) }
}

/// Before the first handle is made: all else needs one.
fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        // SAFETY: null means the defaults.
        check(unsafe { ffi::weft_init(std::ptr::null()) }).expect("weft_init");
    });
}

fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}
