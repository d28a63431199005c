//! Ways to send and to be reached.
#![forbid(unsafe_code)]

use super::{Open, Row};
use crate::prove::attacks::{
    Attack,
    Effect::{Answer, Arrived},
    network as a, sockets as s,
};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "N1",
        technique: "connect(2)",
        hooks: &["socket_connect"],
        open: &[],
        tests: &["connect::tcp_reaches_the_listed_address_and_no_other"],
        attacks: &[
            Attack::new("n01-connect", "TCP connect", Arrived, a::connect),
            Attack::new(
                "n01-connect-v6",
                "TCP connect by IPv6",
                Arrived,
                a::connect_v6,
            ),
        ],
    },
    Row {
        id: "N2",
        technique: "datagrams by send(2), sendto(2), sendmsg(2), sendmmsg(2)",
        hooks: &["socket_sendmsg", "socket_connect"],
        open: &[Open::check("open-udp-reconnect")],
        tests: &["connect::datagrams_reach_the_listed_address_and_no_other_by_any_call"],
        attacks: &[
            Attack::new("n02-sendto", "UDP sendto", Arrived, a::sendto),
            Attack::new("n02-sendto-v6", "UDP sendto by IPv6", Arrived, a::sendto_v6),
            Attack::new(
                "n02-send",
                "UDP connect, then send",
                Arrived,
                a::send_connected,
            ),
            Attack::new("n02-sendmsg", "UDP sendmsg", Arrived, a::sendmsg),
            Attack::new("n02-sendmmsg", "UDP sendmmsg", Arrived, a::sendmmsg),
        ],
    },
    Row {
        id: "N3",
        technique: "a connection opened by sending (MSG_FASTOPEN)",
        hooks: &["socket_sendmsg"],
        open: &[],
        tests: &["connect::tcp_fast_open_reaches_the_listed_address_and_no_other"],
        attacks: &[Attack::new(
            "n03-fast-open",
            "sendto with MSG_FASTOPEN",
            Arrived,
            a::fast_open,
        )],
    },
    Row {
        id: "N4",
        technique: "a connection that waits for its first data (TCP_FASTOPEN_CONNECT)",
        hooks: &["socket_connect"],
        open: &[],
        tests: &["connect::tcp_fast_open_reaches_the_listed_address_and_no_other"],
        attacks: &[Attack::new(
            "n04-fast-open-connect",
            "TCP_FASTOPEN_CONNECT, connect, write",
            Arrived,
            a::fast_open_connect,
        )],
    },
    Row {
        id: "N5",
        technique: "an address of another family than the socket's",
        hooks: &["socket_sendmsg", "socket_connect"],
        open: &[],
        tests: &[
            "connect::an_address_without_family_is_judged_as_the_one_it_is_taken_for",
            "connect::an_ipv4_address_on_an_ipv6_socket_is_judged",
            "connect::dissolving_an_association_is_allowed_and_reaches_nobody",
        ],
        attacks: &[
            Attack::new(
                "n05-unspec-datagram",
                "an AF_UNSPEC address",
                Arrived,
                a::unspec_datagram,
            ),
            Attack::new(
                "n05-v4-on-v6-socket",
                "an AF_INET address on an AF_INET6 socket",
                Arrived,
                a::v4_name_on_v6_socket,
            ),
        ],
    },
    Row {
        id: "N6",
        technique: "other spellings of an address: mapped, unspecified, translated",
        hooks: &["socket_connect", "socket_sendmsg"],
        open: &[],
        tests: &[
            "connect::an_ipv4_mapped_address_is_the_ipv4_address",
            "connect::the_unspecified_address_is_the_loopback_that_it_leads_to",
            "mediation::n06_addresses_that_somebody_translates_are_denied_whatever_rule_stands_behind_them",
        ],
        attacks: &[
            Attack::new("n06-mapped", "::ffff:127.0.0.1", Arrived, a::mapped),
            Attack::new("n06-unspecified", "0.0.0.0", Arrived, a::unspecified),
            Attack::new("n06-unspecified-v6", "::", Arrived, a::unspecified_v6),
        ],
    },
    Row {
        id: "N7",
        technique: "packets of one's own making: raw, packet and ping sockets, XDP, tun devices",
        hooks: &["socket_create", "tun_dev_create", "capable"],
        open: &[],
        tests: &[
            "socket_kinds::sockets_that_cannot_be_judged_are_not_made",
            "opened::n07_n08_kinds_of_sockets_exist_and_work_only_where_the_policy_names_them",
            "opened::n07_a_raw_socket_from_outside_sends_nothing",
        ],
        attacks: &[
            Attack::new("n07-raw", "a raw socket", Answer, s::raw_socket),
            Attack::new("n07-packet", "a packet socket", Answer, s::packet_socket),
            Attack::new("n07-ping", "a ping socket", Answer, s::ping_socket),
            Attack::new("n07-tun", "a tun device", Answer, s::tun_device),
        ],
    },
    Row {
        id: "N8",
        technique: "families that no rule can judge: netlink, vsock, crypto and others",
        hooks: &["socket_create"],
        open: &[],
        tests: &[
            "socket_kinds::sockets_that_cannot_be_judged_are_not_made",
            "opened::n07_n08_kinds_of_sockets_exist_and_work_only_where_the_policy_names_them",
        ],
        attacks: &[
            Attack::new("n08-netlink", "a netlink socket", Answer, s::netlink_socket),
            Attack::new(
                "n08-vsock",
                "a socket to the hypervisor",
                Answer,
                s::vsock_socket,
            ),
            Attack::new(
                "n08-crypto",
                "a socket of the kernel's crypto",
                Answer,
                s::crypto_socket,
            ),
        ],
    },
    Row {
        id: "N9",
        technique: "subflows of multipath TCP, which the kernel connects itself",
        hooks: &["socket_create"],
        open: &[],
        tests: &["socket_kinds::sockets_that_cannot_be_judged_are_not_made"],
        attacks: &[Attack::new(
            "n09-multipath",
            "a multipath TCP socket",
            Answer,
            s::multipath_socket,
        )],
    },
    Row {
        id: "N10",
        technique: "several addresses of one association: SCTP, DCCP",
        hooks: &["socket_create"],
        open: &[],
        tests: &["socket_kinds::sockets_that_cannot_be_judged_are_not_made"],
        attacks: &[Attack::new(
            "n10-sctp",
            "an SCTP socket",
            Answer,
            s::sctp_socket,
        )],
    },
    Row {
        id: "N11",
        technique: "being connected to instead of connecting",
        hooks: &["socket_bind", "socket_listen"],
        open: &[],
        tests: &[
            "mediation::n11_nobody_reaches_an_agent_that_may_not_listen_and_one_that_may_answers",
        ],
        attacks: &[
            Attack::new("n11-listen", "listening for TCP", Answer, s::listen),
            Attack::new(
                "n11-bind",
                "binding to a UDP port",
                Answer,
                s::bind_datagrams,
            ),
        ],
    },
    Row {
        id: "N12",
        technique: "a connection from outside: inherited, received, taken",
        hooks: &["file_receive", "socket_sendmsg"],
        open: &[],
        tests: &[
            "connect::a_connection_made_outside_the_session_sends_nothing_in_it",
            "connect::what_was_connected_sends_nothing_once_the_policy_no_longer_lists_it",
            "mediation::n12_a_socket_from_another_process_does_not_arrive",
            "unix_sockets::an_inherited_connection_is_written_to_only_where_the_policy_leads",
            "unix_sockets::a_connection_is_held_to_the_policy_in_force_and_not_to_that_which_it_was_made_under",
        ],
        attacks: &[
            Attack::new(
                "n12-inherited",
                "sending by an inherited connection",
                Arrived,
                a::send_inherited,
            ),
            Attack::new(
                "n12-inherited-unix",
                "sending by an inherited connection over a unix socket",
                Arrived,
                a::send_inherited_unix,
            ),
            Attack::new(
                "n12-received",
                "sending by a received connection",
                Arrived,
                a::send_received,
            )
            .wants_gift(),
        ],
    },
    Row {
        id: "N13",
        technique: "sendfile(2) and splice(2) into a connection from outside",
        hooks: &["file_permission", "socket_sendmsg"],
        open: &[],
        tests: &["mediation::n13_splice_does_not_reach_the_peer_of_a_socket_from_outside"],
        attacks: &[
            Attack::new(
                "n13-sendfile",
                "sendfile into an inherited connection",
                Arrived,
                a::sendfile_inherited,
            ),
            Attack::new(
                "n13-splice",
                "splice into an inherited connection",
                Arrived,
                a::splice_inherited,
            ),
        ],
    },
    Row {
        id: "N14",
        technique: "unix sockets of services that act for whoever asks",
        hooks: &["unix_stream_connect", "unix_may_send"],
        open: &[],
        tests: &[
            "unix_sockets::a_listed_socket_is_reached_and_no_other",
            "unix_sockets::datagrams_reach_a_listed_socket_and_no_other",
            "unix_sockets::sequenced_packets_reach_a_listed_socket_and_no_other",
            "unix_sockets::the_socket_counts_and_not_the_name_that_leads_to_it",
            "unix_sockets::a_session_reaches_the_sockets_that_it_bound_itself_and_no_other_session_does",
            "unix_sockets::a_socket_that_was_bound_outside_does_not_become_the_sessions_own",
        ],
        attacks: &[
            Attack::new(
                "n14-stream",
                "a unix stream socket",
                Arrived,
                a::unix_stream,
            ),
            Attack::new(
                "n14-datagram",
                "a unix datagram socket",
                Arrived,
                a::unix_datagram,
            ),
            Attack::new(
                "n14-packet",
                "a unix socket for packets",
                Arrived,
                a::unix_packet,
            ),
            Attack::new(
                "n14-abstract",
                "a unix socket by its abstract name",
                Arrived,
                a::unix_abstract,
            ),
        ],
    },
    Row {
        id: "N15",
        technique: "services of the host itself, metadata addresses",
        hooks: &["socket_connect", "socket_sendmsg"],
        open: &[],
        tests: &[
            "connect::tcp_reaches_the_listed_address_and_no_other",
            "connect::a_prefix_holds_its_first_and_last_address_and_nothing_beyond",
        ],
        attacks: &[],
    },
    Row {
        id: "N16",
        technique: "data in names that others resolve",
        hooks: &["socket_connect", "socket_sendmsg"],
        open: &[Open::limit(
            "what is asked of a listed resolver is not judged",
        )],
        tests: &["connect::datagrams_reach_the_listed_address_and_no_other_by_any_call"],
        attacks: &[],
    },
    Row {
        id: "N17",
        technique: "another host behind a shared address",
        hooks: &["socket_connect"],
        open: &[Open::limit(
            "a rule names addresses, and cannot tell those who share one apart",
        )],
        tests: &[],
        attacks: &[],
    },
    Row {
        id: "N18",
        technique: "a network namespace of one's own, with a helper that leads out",
        hooks: &["socket_connect", "task_alloc", "capable"],
        open: &[],
        tests: &["lineage::every_kind_of_descendant_is_in_the_session"],
        attacks: &[Attack::new(
            "n18-namespace",
            "a socket kept into another network namespace",
            Arrived,
            a::other_namespace,
        )],
    },
    Row {
        id: "N19",
        technique: "routes, marks, packet filters",
        hooks: &["capable", "socket_create"],
        open: &[],
        tests: &["mediation::n19_g07_capabilities_that_change_what_a_rule_means_are_withheld"],
        attacks: &[Attack::new("n19-mark", "SO_MARK", Answer, s::mark)],
    },
    Row {
        id: "N20",
        technique: "options and control data that lead packets elsewhere",
        hooks: &["socket_setsockopt", "socket_sendmsg", "capable"],
        open: &[Open::check("open-sendmmsg")],
        tests: &[
            "mediation::n20_packets_are_led_nowhere_by_options_of_the_socket",
            "mediation::n20_packets_are_led_nowhere_by_control_data_and_harmless_control_data_passes",
        ],
        attacks: &[
            Attack::new(
                "n20-source-route",
                "IP_OPTIONS with a source route",
                Answer,
                s::source_route,
            ),
            Attack::new("n20-repair", "TCP_REPAIR", Answer, s::repair),
        ],
    },
];
