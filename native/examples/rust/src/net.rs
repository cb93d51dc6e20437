//! Connections that park the goroutine.

use crate::{check, ffi, nanoseconds, start, Error};
use std::ffi::CString;
use std::io::{self, Read, Write};
use std::ptr::null_mut;
use std::time::Duration;

/// A connection, closed when it is dropped.
pub struct Conn(*mut ffi::RawConn);

// SAFETY: a handle may be used from everywhere.
unsafe impl Send for Conn {}
unsafe impl Sync for Conn {}

impl Conn {
    /// From now on reads and writes fail once so long has passed; None: never.
    pub fn set_deadline(&self, time: Option<Duration>) -> Result<(), Error> {
        // SAFETY: the handle is valid.
        check(unsafe { ffi::weft_conn_deadline(self.0, time.map_or(ffi::FOREVER, nanoseconds)) }).map(|_| ())
    }
}

impl Read for Conn {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: the buffer is as long as it says.
        length(unsafe { ffi::weft_read(self.0, buffer.as_mut_ptr().cast(), buffer.len()) })
    }
}

impl Write for Conn {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // SAFETY: the bytes are as many as they say.
        length(unsafe { ffi::weft_write(self.0, bytes.as_ptr().cast(), bytes.len()) })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        // SAFETY: nobody uses it any more.
        unsafe { ffi::weft_conn_close(self.0) };
    }
}

fn length(result: i64) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| Error(result as i32).into())
}

/// Connects to "host:port".
pub fn dial(address: &str, time: Option<Duration>) -> Result<Conn, Error> {
    start();
    let address = CString::new(address).map_err(|_| Error(-22))?;
    let mut raw = null_mut();
    let time = time.map_or(ffi::FOREVER, nanoseconds);
    // SAFETY: the texts end with zero, and raw is written to.
    check(unsafe { ffi::weft_dial(&mut raw, c"tcp".as_ptr(), address.as_ptr(), time) })?;
    Ok(Conn(raw))
}

/// Listens at "host:port"; port 0 takes a free one.
pub struct Listener(*mut ffi::RawListener);

// SAFETY: a handle may be used from everywhere.
unsafe impl Send for Listener {}
unsafe impl Sync for Listener {}

impl Listener {
    pub fn new(address: &str) -> Result<Self, Error> {
        start();
        let address = CString::new(address).map_err(|_| Error(-22))?;
        let mut raw = null_mut();
        // SAFETY: the texts end with zero, and raw is written to.
        check(unsafe { ffi::weft_listen(&mut raw, c"tcp".as_ptr(), address.as_ptr()) })?;
        Ok(Listener(raw))
    }

    pub fn port(&self) -> u16 {
        // SAFETY: the handle is valid.
        unsafe { ffi::weft_listener_port(self.0) as u16 }
    }

    /// Waits for a connection.
    pub fn accept(&self) -> Result<Conn, Error> {
        let mut raw = null_mut();
        // SAFETY: raw is written to.
        check(unsafe { ffi::weft_accept(self.0, &mut raw) })?;
        Ok(Conn(raw))
    }

    /// Who waits in accept is told so.
    pub fn close(&self) {
        // SAFETY: a handle that was closed is known as such.
        unsafe { ffi::weft_listener_close(self.0) };
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close();
    }
}
