//! The log, and keys as if typed.

use xen_abi::{
    Errno,
    sysctl::{DebugKeys, ReadConsole, Sysctl},
};

use super::Served;
use crate::{current::Current, machine::Machine};

/// Bytes of the log that are copied at a time.
const CHUNK: usize = 256;

/// Copies the log out. With `clear`, what was read is forgotten.
pub(super) fn read<M: Machine>(cur: &Current<'_, M>, op: &mut Sysctl) -> Result<(), Errno> {
    let mut asked: ReadConsole = op.u.get();
    let log = &cur.hv.log;
    let mut at = log.begin((asked.incremental != 0).then_some(asked.index));
    let mut done = 0u32;
    while done < asked.count {
        let mut chunk = [0; CHUNK];
        let room = CHUNK.min((asked.count - done) as usize);
        let read = log.read(at, &mut chunk[..room]);
        if read.bytes == 0 {
            break;
        }
        let to = asked.buffer.addr.checked_add(done.into()).ok_or(Errno::EFAULT)?;
        cur.copy_to_guest(to, &chunk[..read.bytes])?;
        done += read.bytes as u32;
        at = read.next;
    }
    if asked.clear != 0 {
        log.clear(at);
    }
    (asked.count, asked.index) = (done, at);
    op.u.set(&asked);
    Ok(())
}

/// Presses keys one after the other; those that are left go on later.
pub(super) fn press_keys<M: Machine>(cur: &Current<'_, M>, op: &mut Sysctl) -> Result<Served, Errno> {
    let mut asked: DebugKeys = op.u.get();
    while asked.nr_keys > 0 {
        let key: u8 = cur.read(asked.keys.addr)?;
        cur.hv.key_pressed(key);
        asked.keys.addr = asked.keys.addr.checked_add(1).ok_or(Errno::EFAULT)?;
        asked.nr_keys -= 1;
        if asked.nr_keys > 0 && cur.must_stop() {
            op.u.set(&asked);
            return Ok(Served::Partly);
        }
    }
    Ok(Served::Answered)
}
