//! Who is connected: caps in total and per address.

use crate::{Limits, metrics};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// Counts open connections.
#[derive(Clone)]
pub(crate) struct Connections {
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    total: usize,
    per_address: usize,
}

/// One open connection; counted until it is dropped.
pub(crate) struct Admission {
    connections: Connections,
    address: IpAddr,
}

impl Connections {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { open: Arc::default(), total: limits.connections, per_address: limits.connections_per_address }
    }

    /// `None` when one of the caps is reached.
    pub(crate) fn admit(&self, address: IpAddr) -> Option<Admission> {
        // An IPv6 host commonly owns a whole /64; it counts as one address.
        let address = match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
            address => address,
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = open.values().sum();
        let of_address = open.get(&address).copied().unwrap_or_default();
        let cap = if total >= self.total {
            "total"
        } else if of_address >= self.per_address {
            "address"
        } else {
            open.insert(address, of_address + 1);
            ::metrics::gauge!(metrics::CONNECTIONS).set((total + 1) as f64);
            return Some(Admission { connections: self.clone(), address });
        };
        ::metrics::counter!(metrics::CONNECTIONS_REFUSED, "cap" => cap).increment(1);
        None
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&self.address)),
        }
        ::metrics::gauge!(metrics::CONNECTIONS).set(open.values().sum::<usize>() as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_hold_per_address_and_in_total_and_a_closed_connection_makes_room() {
        let limits = Limits { connections: 3, connections_per_address: 2, ..Limits::default() };
        let connections = Connections::new(&limits);
        let (one, two): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let first = connections.admit(one).unwrap();
        let _second = connections.admit(one).unwrap();
        assert!(connections.admit(one).is_none(), "two from one address");
        let _third = connections.admit(two).unwrap();
        assert!(connections.admit(two).is_none(), "three in all");
        drop(first);
        assert!(connections.admit(one).is_some());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_sender() {
        let limits = Limits { connections_per_address: 1, ..Limits::default() };
        let connections = Connections::new(&limits);
        let _first = connections.admit("2001:db8::1".parse().unwrap()).unwrap();
        assert!(connections.admit("2001:db8::2".parse().unwrap()).is_none());
        assert!(connections.admit("2001:db8:0:1::2".parse().unwrap()).is_some());
    }
}
