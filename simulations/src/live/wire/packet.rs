//! What the switch reads of a packet: where it goes, and how much of it is the programs' own bytes.
//!
//! Only IPv4. What else comes out of a device (a kernel asks for IPv6 routers by itself) has no destination here.

use std::net::Ipv4Addr;

/// An IPv4 header without options.
const IPV4_HEADER_BYTES: usize = 20;

/// IP protocol number of TCP.
const TCP: u8 = 6;

/// Where an IPv4 packet goes; nowhere, if it is none.
pub(super) fn destination(packet: &[u8]) -> Option<Ipv4Addr> {
    let header: &[u8; IPV4_HEADER_BYTES] = packet.first_chunk()?;
    let address: [u8; 4] = *header.last_chunk()?;
    (header[0] >> 4 == 4).then(|| Ipv4Addr::from(address))
}

/// Bytes of a TCP segment's payload; 0 for everything else.
pub(super) fn tcp_payload_bytes(packet: &[u8]) -> u64 {
    let payload = || {
        let header: &[u8; IPV4_HEADER_BYTES] = packet.first_chunk()?;
        let header_bytes = usize::from(header[0] & 0x0f) * 4;
        let total_bytes = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header[0] >> 4 != 4 || header[9] != TCP {
            return None;
        }
        let offset = *packet.get(header_bytes..)?.get(12)?;
        total_bytes.checked_sub(header_bytes + usize::from(offset >> 4) * 4)
    };
    payload().unwrap_or(0) as u64
}

/// A packet for tests: IPv4, so many bytes long, to that address.
#[cfg(test)]
pub(super) fn sample(to: Ipv4Addr, bytes: usize) -> Vec<u8> {
    let mut packet = vec![0; bytes.max(IPV4_HEADER_BYTES)];
    packet[0] = 0x45;
    packet[16..20].copy_from_slice(&to.octets());
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_destination_is_read_and_everything_else_has_none() {
        let to = Ipv4Addr::new(10, 78, 0, 3);
        assert_eq!(destination(&sample(to, 60)), Some(to));
        assert_eq!(destination(&[]), None);
        assert_eq!(destination(&sample(to, 20)[..19]), None);
        let mut six = sample(to, 60);
        six[0] = 0x60;
        assert_eq!(destination(&six), None);
    }

    #[test]
    fn tcp_payload_is_what_headers_leave() {
        let mut packet = sample(Ipv4Addr::new(10, 78, 0, 3), 152);
        packet[2..4].copy_from_slice(&152u16.to_be_bytes());
        packet[9] = TCP;
        packet[20 + 12] = 8 << 4;
        assert_eq!(tcp_payload_bytes(&packet), 100);
        packet[9] = 17;
        assert_eq!(tcp_payload_bytes(&packet), 0);
        packet[9] = TCP;
        packet[0] = 0x4f;
        assert_eq!(tcp_payload_bytes(&packet[..30]), 0, "a header that is cut off");
        packet[0] = 0x45;
        packet[3] = 1;
        packet[2] = 0;
        assert_eq!(tcp_payload_bytes(&packet), 0, "a length that is a lie");
    }
}
