//! The runner's user and containers can't reach the metadata service, and root can.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use dayfly_agent::runner::access;
use dayfly_agent::runner::account::Account;

use crate::namespaces::{Network, in_thread, ip};

const V4: &str = "169.254.169.254:80";
const V6: &str = "[fd00:ec2::254]:80";

fn nobody() -> Account {
    Account::find("nobody").unwrap()
}

/// Connects as the user with this id.
fn connect(uid: u32, address: &str) -> io::Result<()> {
    let address: SocketAddr = address.parse().unwrap();
    in_thread(move || {
        // By hand: the library would change all threads.
        // SAFETY: setresuid takes three integers and touches no memory of ours; the thread ends below.
        assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }, 0);
        TcpStream::connect_timeout(&address, Duration::from_secs(5)).map(drop)
    })
}

pub fn a_job_can_not_ask() {
    let network = Network::new();
    network.run(|| {
        ip("addr add 169.254.169.254/32 dev lo");
        ip("addr add fd00:ec2::254/128 dev lo nodad");
        let _service = [V4, V6].map(|address| TcpListener::bind(address).unwrap());
        let job = nobody();
        for address in [V4, V6] {
            connect(job.uid.as_raw(), address).unwrap();
        }
        // The second time is an agent's that was started again.
        for _ in 0..2 {
            access::close(&job).unwrap();
            for address in [V4, V6] {
                let error = connect(job.uid.as_raw(), address).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{address}: {error}");
                connect(0, address).unwrap();
                connect(1, address).unwrap();
            }
        }
    });
}

/// Three networks: a container's, the host's, and the one beyond with the metadata service in it.
pub fn a_container_can_not_ask() {
    let (container, host, beyond) = (Network::new(), Network::new(), Network::new());
    host.run(|| {
        ip(&format!("link add inside type veth peer name eth0 netns {}", container.path()));
        ip(&format!("link add outside type veth peer name eth0 netns {}", beyond.path()));
        for words in ["addr add 10.9.0.1/24 dev inside", "addr add 10.8.0.1/24 dev outside"] {
            ip(words);
        }
        ip("link set inside up");
        ip("link set outside up");
        ip("route add 169.254.169.254 via 10.8.0.2");
        fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
    });
    container.run(|| {
        ip("addr add 10.9.0.2/24 dev eth0");
        ip("link set eth0 up");
        ip("route add default via 10.9.0.1");
    });
    let _service = beyond.run(|| {
        ip("addr add 10.8.0.2/24 dev eth0");
        ip("link set eth0 up");
        ip("route add default via 10.8.0.1");
        ip("addr add 169.254.169.254/32 dev lo");
        TcpListener::bind("0.0.0.0:80").unwrap()
    });
    container.run(|| connect(0, V4)).unwrap();
    host.run(|| access::close(&nobody())).unwrap();
    let error = container.run(|| connect(0, V4)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
    container.run(|| connect(0, "10.8.0.2:80")).unwrap();
    host.run(|| connect(0, V4)).unwrap();
}
