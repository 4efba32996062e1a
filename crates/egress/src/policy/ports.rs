//! Ports that a crawl may reach by default: 80, 443 and those from 1024 on, but for services that are no web servers.

/// Web servers of developers and documentation hosts use any port above the privileged ones.
const FIRST_UNPRIVILEGED: u16 = 1024;

/// From 1024 on: the ports that browsers block (WHATWG Fetch, "port blocking"), and those of databases, orchestration
/// and remote desktops, where an HTTP request could be taken for a command. Sorted.
const BLOCKED: &[u16] = &[
    1433, 1434, 1521, 1719, 1720, 1723, 2049, 2181, 2375, 2376, 2379, 2380, 3306, 3389, 3659, 4045, 4190, 5060, 5061,
    5432, 5900, 5901, 5902, 5903, 6000, 6001, 6002, 6003, 6379, 6380, 6443, 6566, 6665, 6666, 6667, 6668, 6669, 6679,
    6697, 7000, 7001, 9042, 9092, 9100, 9300, 10_080, 10_250, 10_255, 11_211, 26_379, 27_017, 27_018, 27_019,
];

pub(super) fn is_open_by_default(port: u16) -> bool {
    matches!(port, 80 | 443) || (port >= FIRST_UNPRIVILEGED && BLOCKED.binary_search(&port).is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_so_that_it_can_be_searched() {
        assert!(BLOCKED.is_sorted());
        assert!(BLOCKED.iter().all(|port| *port >= FIRST_UNPRIVILEGED));
    }

    #[test]
    fn web_ports_are_open_and_others_are_not() {
        for open in [80, 443, 1024, 3000, 8000, 8080, 8443, 9999, 40_000, 65_535] {
            assert!(is_open_by_default(open), "{open}");
        }
        for blocked in [0, 1, 22, 25, 53, 110, 143, 445, 587, 993, 1023, 3306, 5432, 6379, 6667, 11_211, 27_017] {
            assert!(!is_open_by_default(blocked), "{blocked}");
        }
    }
}
