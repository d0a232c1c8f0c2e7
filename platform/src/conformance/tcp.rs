//! Byte streams.

use core::net::SocketAddr;

use bringup_core::error::ErrorKind;
use bringup_core::platform::{Platform, PlatformError};
use bringup_core::poll::{Interest, Poll};

use super::{
    Checked, Finding, Promise, Report, Rig, TOKEN, ensure, failed, late, run, unchecked, wait_for,
};

pub(super) fn all<R: Rig>(rig: &mut R, report: &mut Report) {
    run(rig, report, Promise::TcpCarries, carries);
    run(rig, report, Promise::TcpRefused, refused);
}

const NOBODY: Finding = unchecked("the rig has nobody to connect to");

fn wait<R: Rig>(rig: &R, platform: &mut R::Platform, what: &'static str) -> Checked {
    let deadline = late(rig, platform);
    ensure(wait_for(platform, TOKEN, deadline)?.is_some(), what)
}

fn carries<R: Rig>(rig: &mut R) -> Checked {
    let to = rig.tcp_echo().ok_or(NOBODY)?;
    let mut platform = rig.platform();
    let handle = platform.tcp_connect(to, None).map_err(failed("connecting was refused"))?;
    let added = platform.poller().add(handle, TOKEN, Interest::WRITE);
    added.map_err(failed("a stream cannot be watched"))?;
    wait(rig, &mut platform, "a stream that stands was not told to be writable")?;
    platform.tcp_send(handle, &[]).map_err(failed("a stream that was connected does not stand"))?;
    let sent = *b"sixteen bytes it";
    let taken = platform.tcp_send(handle, &sent).map_err(failed("sending failed"))?;
    ensure(taken == sent.len(), "an empty stream had no room for sixteen bytes")?;
    let changed = platform.poller().modify(handle, TOKEN, Interest::READ);
    changed.map_err(failed("interest was not changed"))?;
    let (mut heard, mut length) = ([0; 16], 0);
    loop {
        wait(rig, &mut platform, "bytes did not come back, or the end did not")?;
        let mut buffer = [0; 16];
        let received = platform.tcp_receive(handle, &mut buffer);
        match received.map_err(failed("receiving failed"))? {
            None => {}
            Some(0) => break,
            Some(count) => {
                let room = heard.get_mut(length..).unwrap_or(&mut []);
                for (to, from) in room.iter_mut().zip(buffer.iter().take(count)) {
                    *to = *from;
                }
                length += count;
                ensure(length <= sent.len(), "more came back than was sent")?;
            }
        }
    }
    platform.poller().remove(handle, TOKEN);
    platform.close(handle);
    ensure(length == sent.len() && heard == sent, "other bytes came back")
}

fn refused<R: Rig>(rig: &mut R) -> Checked {
    let to = SocketAddr::new(rig.tcp_echo().ok_or(NOBODY)?.ip(), 1);
    let mut platform = rig.platform();
    let handle = match platform.tcp_connect(to, None) {
        Ok(handle) => handle,
        Err(error) if error.kind() == ErrorKind::Unsupported => return Err(failed("")(error)),
        // Some say it at once.
        Err(_) => return Ok(()),
    };
    let added = platform.poller().add(handle, TOKEN, Interest::WRITE);
    added.map_err(failed("a stream cannot be watched"))?;
    wait(rig, &mut platform, "the end of an attempt to connect was not told")?;
    let stands = platform.tcp_send(handle, &[]);
    platform.poller().remove(handle, TOKEN);
    platform.close(handle);
    ensure(stands.is_err(), "a connection that was refused is said to stand")
}
