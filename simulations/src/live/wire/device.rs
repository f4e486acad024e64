//! A TUN device: what the kernel of an end sends comes out of it, what is written to it arrives at that end.
//!
//! It lives as long as the process that opened it, so a killed run leaves none behind.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

/// The largest packet, as on an Ethernet.
pub(super) const PACKET_BYTES_MAX: usize = 1500;

/// The device of one end.
pub(super) struct Device {
    #[cfg(target_os = "linux")]
    tun: tun_rs::SyncDevice,
    #[cfg(not(target_os = "linux"))]
    tun: std::fs::File,
}

#[cfg(target_os = "linux")]
impl Device {
    /// Opens one called `name` in the namespace of the calling thread.
    pub(super) fn open(name: &str) -> io::Result<Self> {
        let tun = tun_rs::DeviceBuilder::new().name(name).mtu(PACKET_BYTES_MAX as u16).enable(false).build_sync()?;
        tun.set_nonblocking(true)?;
        Ok(Self { tun })
    }

    /// Reads one packet; [`io::ErrorKind::WouldBlock`] where none waits.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tun.recv(buffer)
    }

    /// Writes one packet.
    pub(super) fn write(&self, packet: &[u8]) -> io::Result<usize> {
        self.tun.send(packet)
    }
}

#[cfg(not(target_os = "linux"))]
impl Device {
    pub(super) fn open(_name: &str) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut &self.tun, buffer)
    }

    pub(super) fn write(&self, packet: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut &self.tun, packet)
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tun.as_fd()
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device").finish_non_exhaustive()
    }
}
