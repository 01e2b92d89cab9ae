use super::*;
use alloc::vec::Vec;

fn frame(kind: u16, ip: &[u8], segment: &[u8]) -> Vec<u8> {
    let mut frame = [2; 12].to_vec();
    frame.extend(kind.to_be_bytes());
    frame.extend(ip);
    frame.extend(segment);
    frame
}

/// A header for a segment of `len` bytes from 10.0.0.1 to 10.0.0.2.
fn ipv4_header(protocol: u8, len: u16) -> [u8; 20] {
    let mut header = [0; 20];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&(20 + len).to_be_bytes());
    header[9] = protocol;
    header[12..].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    header
}

/// What a receiver checks: pseudo header, segment and checksum add up to all ones.
fn adds_up(addresses: &[u8], protocol: u8, segment: &[u8]) -> bool {
    let mut all = addresses.to_vec();
    all.extend([0, protocol]);
    all.extend((segment.len() as u16).to_be_bytes());
    all.extend(segment);
    fold(sum(&all)) == 0
}

#[test]
fn a_known_datagram_gets_its_checksum() {
    // "hi" from port 1 to port 2: the words add up to 0x7c94.
    let segment = [0, 1, 0, 2, 0, 10, 0xaa, 0xaa, b'h', b'i'];
    let mut frame = frame(ETHERTYPE_IPV4, &ipv4_header(UDP, 10), &segment);
    complete(&mut frame).unwrap();
    assert_eq!(frame[14 + 20 + 6..14 + 20 + 8], (!0x7c94_u16).to_be_bytes());
}

#[test]
fn checksums_add_up_for_each_length_protocol_and_version() {
    for len in 20..60 {
        for protocol in [TCP, UDP] {
            let segment: Vec<u8> = (0..len).map(|i| (i * 37) as u8).collect();
            let mut v4 = frame(ETHERTYPE_IPV4, &ipv4_header(protocol, len), &segment);
            // Padding of short frames does not count.
            v4.extend([0xff; 9]);
            complete(&mut v4).unwrap();
            assert!(adds_up(&v4[26..34], protocol, &v4[34..34 + usize::from(len)]), "{len} {protocol}");
            let mut ip = [7; 40];
            ip[0] = 0x60;
            ip[4..6].copy_from_slice(&len.to_be_bytes());
            ip[6] = protocol;
            let mut v6 = frame(ETHERTYPE_IPV6, &ip, &segment);
            complete(&mut v6).unwrap();
            assert!(adds_up(&v6[22..54], protocol, &v6[54..]), "{len} {protocol}");
        }
    }
}

#[test]
fn a_vlans_tag_is_passed_over() {
    let mut tagged = frame(ETHERTYPE_VLAN, &[0, 5, 8, 0], &[]);
    tagged.extend(ipv4_header(UDP, 8));
    tagged.extend([0, 1, 0, 2, 0, 8, 0, 0]);
    complete(&mut tagged).unwrap();
    assert!(adds_up(&tagged[30..38], UDP, &tagged[38..]));
}

#[test]
fn a_datagram_that_adds_up_to_nothing_is_not_without_a_checksum() {
    // The words of all but these two bytes add up to 0x1403 + 3 + 17 + 10 + 10.
    let fill = !(0x1403_u16 + 3 + 17 + 10 + 10);
    let mut segment = [0, 1, 0, 2, 0, 10, 0, 0, 0, 0];
    segment[8..].copy_from_slice(&fill.to_be_bytes());
    let mut frame = frame(ETHERTYPE_IPV4, &ipv4_header(UDP, 10), &segment);
    complete(&mut frame).unwrap();
    assert_eq!(frame[40..42], [0xff, 0xff]);
}

#[test]
fn frames_that_lie_are_given_up() {
    let whole = frame(ETHERTYPE_IPV4, &ipv4_header(TCP, 20), &[0; 20]);
    for len in 0..whole.len() {
        assert_eq!(complete(&mut whole[..len].to_vec()), None, "{len} bytes of it");
    }
    for (at, value) in [(14, 0x55), (14, 0x41), (16, 0xff), (17, 19), (20, 0x20), (21, 1), (23, 1), (12, 9)] {
        let mut lie = whole.clone();
        lie[at] = value;
        assert_eq!(complete(&mut lie), None, "byte {at} is {value}");
    }
}
