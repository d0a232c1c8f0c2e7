//! What a client without the feature `extras` does instead.

use super::*;
use crate::snapshot::{SNAPSHOT_LEN, SnapshotError};
use MessageType::Discover;

#[test]
fn silence_brings_no_link_local_address() {
    let mut rig = Rig::new(1, Config { link_local: true, ..standard() });
    rig.call(DhcpClient::start);
    rig.run_until(at(200_000));
    assert!(rig.world.sent.iter().all(|s| s.kind() == Discover && s.option(116).is_none()));
    assert_eq!((rig.client.link_local(), rig.world.arps.len()), (None, 0));
}

#[test]
fn nobody_is_promised_to_listen_for_a_forcerenew() {
    let config = Config { force_renew: true, ..standard() };
    let rig = Rig::bound_with(config, 600, &[(145, &[1])]);
    assert!(rig.world.sent.iter().all(|s| s.option(145).is_none()));
    assert_eq!(rig.world.open, [false; 3]);
}

#[test]
fn the_router_is_not_asked_and_nothing_is_remembered() {
    let config = Config { detect_attachment: true, ..standard() };
    let mut rig = Rig::bound_with(config, 600, &[(3, &[10, 0, 0, 254])]);
    assert_eq!((rig.world.arps.len(), rig.client.state()), (0, StateName::Bound));
    let mut buffer = [0; SNAPSHOT_LEN];
    assert_eq!(rig.client.snapshot(&rig.world.cx(), &mut buffer), Ok(None));
    let mut rig = Rig::new(2, config);
    let refused = rig.client.start_from_snapshot(&mut rig.world.cx(), &buffer);
    assert_eq!((refused, rig.client.state()), (Err(SnapshotError::Version), StateName::Stopped));
}
