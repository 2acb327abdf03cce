package detect

import (
	"cmp"
	"slices"

	"varde/event"
)

// Port is what is known of a port: which service it usually is, and what those want who try it unasked.
type Port struct {
	Proto  uint8 // IANA number
	Number uint16
	Name   string // the service
	Seen   string // what was seen on it, "" for nothing in particular
}

const (
	tcp = event.TCP
	udp = event.UDP
)

// ports are in the order of their numbers, TCP before UDP. Names are those of products and protocols as administrators
// say them; what was seen is common knowledge of honeypots and of the notices of worms and botnets.
var ports = []Port{
	{tcp, 7, "echo", "amplification and loops"},
	{udp, 7, "echo", "amplification and loops"},
	{udp, 17, "quote of the day", "amplification"},
	{udp, 19, "chargen", "amplification"},
	{tcp, 21, "FTP", "password guessing, anonymous upload"},
	{tcp, 22, "SSH", "password guessing, botnets of small devices"},
	{tcp, 23, "Telnet", "password guessing by Mirai and its kin"},
	{tcp, 25, "SMTP", "open relays, password guessing"},
	{tcp, 26, "Telnet or SMTP on another port", "Mirai and its kin"},
	{tcp, 37, "time", ""},
	{udp, 37, "time", ""},
	{tcp, 53, "DNS", "zone transfers"},
	{udp, 53, "DNS", "open resolvers for amplification"},
	{udp, 69, "TFTP", "configurations of phones and routers; amplification"},
	{tcp, 79, "finger", ""},
	{tcp, 80, "HTTP", "exploits of web applications, cameras and routers"},
	{tcp, 81, "HTTP of cameras", "GoAhead cameras: Persirai, Mirai"},
	{tcp, 82, "HTTP of cameras", "cameras and recorders"},
	{tcp, 83, "HTTP of cameras", "cameras and recorders"},
	{tcp, 84, "HTTP of cameras", "cameras and recorders"},
	{tcp, 85, "HTTP of cameras", "cameras and recorders"},
	{tcp, 88, "Kerberos or HTTP", "cameras and recorders"},
	{tcp, 102, "Siemens S7", "industrial controllers"},
	{tcp, 110, "POP3", "password guessing"},
	{tcp, 111, "portmapper", "exported file systems"},
	{udp, 111, "portmapper", "amplification"},
	{tcp, 119, "NNTP", ""},
	{udp, 123, "NTP", "amplification by monlist"},
	{tcp, 135, "Windows RPC", "Blaster and later worms"},
	{udp, 137, "NetBIOS name service", "amplification, worms"},
	{udp, 138, "NetBIOS datagrams", ""},
	{tcp, 139, "NetBIOS session", "worms over shared folders"},
	{tcp, 143, "IMAP", "password guessing"},
	{udp, 161, "SNMP", "community strings by guessing, amplification"},
	{udp, 177, "XDMCP", "amplification"},
	{tcp, 179, "BGP", "open sessions"},
	{tcp, 389, "LDAP", "open directories"},
	{udp, 389, "CLDAP", "amplification"},
	{tcp, 443, "HTTPS", "exploits of VPN gateways, mail servers and routers"},
	{udp, 443, "QUIC", ""},
	{tcp, 445, "SMB", "EternalBlue: WannaCry and many worms; Conficker"},
	{tcp, 465, "SMTP over TLS", "password guessing"},
	{udp, 500, "IKE", "VPN gateways"},
	{tcp, 502, "Modbus", "industrial controllers"},
	{tcp, 512, "rexec", ""},
	{tcp, 513, "rlogin", ""},
	{tcp, 514, "rsh", ""},
	{udp, 514, "syslog", ""},
	{udp, 520, "RIP", "amplification"},
	{tcp, 523, "IBM DB2", ""},
	{tcp, 548, "AFP", "network disks"},
	{tcp, 554, "RTSP", "cameras and recorders"},
	{tcp, 587, "mail submission", "password guessing"},
	{udp, 623, "IPMI", "server management without a password"},
	{tcp, 631, "IPP", "printers"},
	{udp, 631, "CUPS browsing", "CUPS of 2024, amplification"},
	{tcp, 636, "LDAP over TLS", ""},
	{tcp, 873, "rsync", "open modules"},
	{tcp, 989, "FTP over TLS", ""},
	{tcp, 993, "IMAP over TLS", "password guessing"},
	{tcp, 995, "POP3 over TLS", "password guessing"},
	{udp, 1026, "Windows messenger", "pop-up spam"},
	{tcp, 1080, "SOCKS", "open proxies"},
	{tcp, 1099, "Java RMI", "deserialisation exploits"},
	{udp, 1194, "OpenVPN", ""},
	{tcp, 1433, "Microsoft SQL Server", "password guessing for sa"},
	{udp, 1434, "Microsoft SQL browser", "Slammer, amplification"},
	{tcp, 1521, "Oracle", ""},
	{tcp, 1588, "cameras", ""},
	{tcp, 1604, "Citrix", ""},
	{udp, 1604, "Citrix", ""},
	{udp, 1701, "L2TP", "VPN gateways, amplification"},
	{tcp, 1723, "PPTP", "password guessing"},
	{tcp, 1883, "MQTT", "open brokers"},
	{tcp, 1900, "UPnP", ""},
	{udp, 1900, "SSDP", "amplification, UPnP devices"},
	{tcp, 2000, "MikroTik bandwidth test or Cisco SCCP", "routers and phones"},
	{tcp, 2049, "NFS", "exported file systems"},
	{tcp, 2082, "cPanel", ""},
	{tcp, 2083, "cPanel over TLS", ""},
	{tcp, 2181, "ZooKeeper", "open clusters"},
	{tcp, 2222, "SSH on another port", "password guessing"},
	{tcp, 2323, "Telnet on another port", "Mirai and its kin"},
	{tcp, 2375, "Docker", "containers started by cryptocurrency miners"},
	{tcp, 2376, "Docker over TLS", "containers started by cryptocurrency miners"},
	{tcp, 2379, "etcd", "open clusters"},
	{udp, 2427, "MGCP", ""},
	{tcp, 3128, "Squid", "open proxies"},
	{udp, 3283, "Apple Remote Desktop", "amplification"},
	{tcp, 3306, "MySQL", "password guessing, ransom of databases"},
	{tcp, 3389, "RDP", "password guessing, BlueKeep"},
	{udp, 3478, "STUN", "amplification"},
	{udp, 3702, "WS-Discovery", "cameras, amplification"},
	{tcp, 4028, "cryptocurrency miner control", "Antminer and others"},
	{tcp, 4444, "Metasploit or worms' shells", "back doors"},
	{tcp, 4567, "TR-069 or Sinatra", "routers of subscribers"},
	{tcp, 4786, "Cisco Smart Install", "configurations taken without a password"},
	{tcp, 4899, "Radmin", "password guessing"},
	{tcp, 5000, "UPnP or Synology", "network disks, ransomware"},
	{tcp, 5038, "Asterisk manager", "telephone fraud"},
	{tcp, 5060, "SIP", "telephone fraud"},
	{udp, 5060, "SIP", "telephone fraud"},
	{udp, 5093, "Sentinel licence manager", "amplification"},
	{udp, 5351, "NAT-PMP", "routers that let strangers open ports"},
	{udp, 5353, "mDNS", "amplification"},
	{tcp, 5358, "Telnet of devices", "Mirai and its kin"},
	{tcp, 5431, "UPnP of Broadcom", "BCMUPnP_Hunter"},
	{tcp, 5432, "PostgreSQL", "password guessing, cryptocurrency miners"},
	{tcp, 5500, "Hisilicon recorders or VNC", "recorders"},
	{tcp, 5555, "ADB", "Android debugging without a password: ADB.Miner, Mirai and its kin"},
	{udp, 5632, "pcAnywhere", ""},
	{udp, 5683, "CoAP", "amplification"},
	{tcp, 5800, "VNC over HTTP", ""},
	{tcp, 5900, "VNC", "password guessing"},
	{tcp, 5901, "VNC", "password guessing"},
	{tcp, 5938, "TeamViewer", ""},
	{tcp, 5984, "CouchDB", "open databases"},
	{tcp, 5985, "Windows remote management", ""},
	{tcp, 6000, "X11", "open displays"},
	{tcp, 6379, "Redis", "keys and cron jobs written into open servers"},
	{tcp, 6443, "Kubernetes", "open clusters"},
	{tcp, 6667, "IRC", "control of botnets"},
	{tcp, 6789, "Telnet of devices", "Mirai and its kin"},
	{tcp, 6881, "BitTorrent", "peers that look for a former user of the address"},
	{udp, 6881, "BitTorrent", "peers that look for a former user of the address"},
	{tcp, 7001, "WebLogic", "deserialisation exploits"},
	{tcp, 7070, "RTSP or RealServer", ""},
	{tcp, 7547, "TR-069", "remote management of subscribers' routers: Mirai of November 2016, SetNTPServers"},
	{tcp, 7548, "TR-069 over TLS", "remote management of subscribers' routers"},
	{tcp, 7777, "games or back doors", ""},
	{tcp, 8000, "HTTP", "recorders of Hikvision and others"},
	{tcp, 8008, "HTTP", ""},
	{tcp, 8009, "AJP", "Ghostcat"},
	{tcp, 8080, "HTTP proxy", "open proxies, routers, Tomcat"},
	{tcp, 8081, "HTTP", "routers and Nexus"},
	{tcp, 8083, "HTTP", ""},
	{tcp, 8088, "Hadoop YARN", "jobs started by cryptocurrency miners"},
	{tcp, 8089, "Splunk", ""},
	{tcp, 8123, "proxies or Home Assistant", ""},
	{tcp, 8291, "MikroTik Winbox", "passwords read from RouterOS of 2018: Hajime, Meris"},
	{tcp, 8333, "Bitcoin", ""},
	{tcp, 8443, "HTTPS", "VPN gateways and managers of networks"},
	{tcp, 8545, "Ethereum RPC", "open wallets"},
	{tcp, 8728, "MikroTik API", "password guessing"},
	{tcp, 8888, "HTTP", "proxies, Jupyter"},
	{tcp, 9000, "HTTP or FastCGI", "recorders, Portainer"},
	{tcp, 9001, "Tor or Supervisor", ""},
	{tcp, 9090, "HTTP", "Cockpit, Prometheus"},
	{tcp, 9100, "printers", "pages printed by strangers"},
	{tcp, 9160, "Cassandra", "open databases"},
	{tcp, 9200, "Elasticsearch", "open databases, script exploits"},
	{tcp, 9527, "XiongMai recorders", "a console without a password"},
	{udp, 9987, "TeamSpeak", ""},
	{tcp, 9999, "HTTP of devices or back doors", ""},
	{tcp, 10000, "Webmin", "Webmin of 2019"},
	{udp, 10001, "Ubiquiti discovery", "amplification"},
	{tcp, 10250, "Kubelet", "open clusters"},
	{tcp, 11211, "memcached", "open caches"},
	{udp, 11211, "memcached", "amplification by a factor of thousands"},
	{tcp, 12345, "NetBus", "back doors, recorders"},
	{udp, 17185, "VxWorks debugger", ""},
	{tcp, 20000, "DNP3", "industrial controllers"},
	{tcp, 23231, "Telnet of devices", "ports that infected cameras open"},
	{tcp, 25565, "Minecraft", ""},
	{udp, 27015, "game servers", "amplification"},
	{tcp, 27017, "MongoDB", "ransom of open databases"},
	{udp, 33848, "Jenkins discovery", "amplification"},
	{tcp, 34567, "XiongMai recorders", "DVRIP: Mirai and its kin"},
	{tcp, 37215, "Huawei HG532", "UPnP exploit of 2017: Satori"},
	{tcp, 37777, "Dahua recorders", "DVRs and cameras of Dahua, Amcrest and Q-See: passwords and UPnP maps"},
	{udp, 37778, "Dahua recorders", "DVRs and cameras of Dahua, Amcrest and Q-See"},
	{udp, 37810, "Dahua discovery", "amplification"},
	{tcp, 44818, "EtherNet/IP", "industrial controllers"},
	{udp, 47808, "BACnet", "building automation"},
	{tcp, 49152, "UPnP", "routers and server management"},
	{tcp, 50070, "Hadoop", "open clusters"},
	{udp, 51820, "WireGuard", ""},
	{tcp, 52869, "Realtek UPnP", "miniigd exploit: Mirai, Satori"},
	{udp, 53413, "Netis routers", "a back door with a fixed password"},
	{tcp, 60001, "JAWS recorders", "Mirai and its kin"},
	{tcp, 62078, "iPhone synchronisation", ""},
}

// PortMeaning tells what a port is known for.
func PortMeaning(proto uint8, number uint16) (Port, bool) {
	i, ok := slices.BinarySearchFunc(ports, number, func(p Port, n uint16) int { return cmp.Compare(p.Number, n) })
	for ; ok && i < len(ports) && ports[i].Number == number; i++ {
		if ports[i].Proto == proto {
			return ports[i], true
		}
	}
	return Port{}, false
}

// PortName is the service that a port is known for, "" where nothing is.
func PortName(proto uint8, number uint16) string {
	p, _ := PortMeaning(proto, number)
	return p.Name
}

// KnownPorts are all ports that have a meaning, in the order of their numbers.
func KnownPorts() []Port { return slices.Clone(ports) }
