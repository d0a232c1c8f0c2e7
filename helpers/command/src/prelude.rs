//! What most programs on the loop name: `use bringup::prelude::*`.

pub use bringup_core::attach::{AttachQueue, Node, Outcome};
pub use bringup_core::event_loop::{
    Application, EventLoop, LoopStorage, Ready, Registrar, SourceKey,
};
pub use bringup_core::platform::{Platform, UdpOptions};
pub use bringup_core::poll::Interest;
pub use bringup_core::state::{Announcement, HoldKey, NotifierKey, Phase, SystemState, Verdict};
pub use bringup_core::time::{Duration, Instant, Utc};
pub use bringup_core::timer::{Owner, TimerKey};
pub use bringup_dns::{Resolver, SmallStorage};
pub use bringup_system::{Config, System};

#[cfg(target_os = "linux")]
pub use crate::host::{Host, Queue, host, queue};
