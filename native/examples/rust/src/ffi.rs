//! weft.h, what of it is used here.

use std::ffi::{c_char, c_int, c_void};

pub enum RawChan {}
pub enum RawConn {}
pub enum RawListener {}
pub enum RawTask {}

#[repr(C)]
pub struct Case {
    pub chan: *mut RawChan,
    pub elem: *mut c_void,
    pub op: c_int,
    pub result: c_int,
}

#[repr(C)]
pub struct Attr {
    pub size: usize,
    pub stack_size: usize,
    pub stack_kind: c_int,
    pub flags: u32,
    pub name: *const c_char,
}

pub const RECV: c_int = 0;
pub const SEND: c_int = 1;
pub const FOREVER: i64 = -1;
pub const EAGAIN: c_int = -11;
pub const EPIPE: c_int = -32;
pub const ETIMEDOUT: c_int = -110;
pub const ECANCELED: c_int = -125;

extern "C" {
    pub fn weft_init(options: *const c_void) -> c_int;
    pub fn weft_strerror(result: c_int) -> *const c_char;
    pub fn weft_task_go(
        task: *mut *mut RawTask,
        attr: *const Attr,
        function: extern "C" fn(*mut c_void) -> *mut c_void,
        argument: *mut c_void,
    ) -> c_int;
    pub fn weft_task_cancel(task: *mut RawTask) -> c_int;
    pub fn weft_task_free(task: *mut RawTask) -> c_int;
    pub fn weft_lock_thread() -> c_int;
    pub fn weft_yield() -> c_int;
    pub fn weft_sleep(nanoseconds: i64) -> c_int;

    pub fn weft_chan_make(chan: *mut *mut RawChan, elem_size: usize, capacity: usize) -> c_int;
    pub fn weft_chan_free(chan: *mut RawChan) -> c_int;
    pub fn weft_chan_send(chan: *mut RawChan, elem: *const c_void) -> c_int;
    pub fn weft_chan_recv(chan: *mut RawChan, elem: *mut c_void) -> c_int;
    pub fn weft_chan_try_send(chan: *mut RawChan, elem: *const c_void) -> c_int;
    pub fn weft_chan_try_recv(chan: *mut RawChan, elem: *mut c_void) -> c_int;
    pub fn weft_chan_close(chan: *mut RawChan) -> c_int;
    pub fn weft_chan_len(chan: *mut RawChan) -> i64;
    pub fn weft_select(cases: *mut Case, count: c_int, timeout: i64) -> c_int;

    pub fn weft_listen(listener: *mut *mut RawListener, network: *const c_char, address: *const c_char) -> c_int;
    pub fn weft_listener_port(listener: *mut RawListener) -> c_int;
    pub fn weft_accept(listener: *mut RawListener, conn: *mut *mut RawConn) -> c_int;
    pub fn weft_listener_close(listener: *mut RawListener) -> c_int;
    pub fn weft_dial(conn: *mut *mut RawConn, network: *const c_char, address: *const c_char, timeout: i64) -> c_int;
    pub fn weft_read(conn: *mut RawConn, buffer: *mut c_void, count: usize) -> i64;
    pub fn weft_write(conn: *mut RawConn, buffer: *const c_void, count: usize) -> i64;
    pub fn weft_conn_deadline(conn: *mut RawConn, timeout: i64) -> c_int;
    pub fn weft_conn_close(conn: *mut RawConn) -> c_int;
}
