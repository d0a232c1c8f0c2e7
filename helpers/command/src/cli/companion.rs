//! [`Companion`]: what goes along with a bring-up and acts on what it hears, beside the telling.

use std::net::SocketAddr;

use bringup_core::event_loop::{Ready, Registrar};
use bringup_core::platform::Platform;
use bringup_core::timer::NoSlot;
use bringup_system::{Event, System};

use super::exit::Exit;
use super::output::Output;

/// What a companion is lent for the length of a call.
pub struct Scene<'a, 'r, 'm, P: Platform> {
    /// The loop.
    pub registrar: &'a mut Registrar<'r, P>,
    /// The system, to be looked at and asked.
    pub system: &'a mut System<'m, P>,
    /// Where things are told.
    pub output: &'a mut Output,
}

/// The servers of the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorServers {
    /// DNS servers.
    pub dns: Vec<SocketAddr>,
    /// NTP servers by address.
    pub ntp: Vec<SocketAddr>,
    /// NTP servers by name, with their ports.
    pub ntp_names: Vec<(String, u16)>,
}

/// Something that goes along with a session on the same loop. It never blocks it.
pub trait Companion<P: Platform> {
    /// The session begins; what is to be watched can be added to the loop.
    fn start(&mut self, scene: &mut Scene<'_, '_, '_, P>) -> Result<(), NoSlot>;

    /// The system said something. The system may be past it already: what is true now is asked of it
    /// in [`settle`](Self::settle).
    fn hear(&mut self, scene: &mut Scene<'_, '_, '_, P>, event: &Event<P::Error>);

    /// All has been heard for now. The session ends if there is a reason to.
    fn settle(&mut self, scene: &mut Scene<'_, '_, '_, P>) -> Option<Exit>;

    /// A source or a timer of the application that is not the session's own.
    fn take(&mut self, scene: &mut Scene<'_, '_, '_, P>, ready: Ready);

    /// The servers that the operator wants from now on, if he has thought of others.
    fn new_servers(&mut self) -> Option<OperatorServers>;

    /// The session is about to end.
    fn stopping(&mut self);

    /// The session has ended, and the system has stopped.
    fn finish(&mut self, scene: &mut Scene<'_, '_, '_, P>);
}
