#!/bin/sh
# Installs the Debian programs that the tests against real parts start on loopback. Needs root.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends \
	ca-certificates gcc libc6-dev git make openssl \
	chromium fonts-dejavu-core gnuplot-nox iproute2 logrotate nfdump nfdump-sflow nftables rsyslog rsyslog-openssl snmp snmpd softflowd systemd-journal-remote tcpdump tor-geoipdb tshark ulogd2 ulogd2-json \
	amavisd-new spamassassin clamav clamav-daemon clamav-freshclam db-util libberkeleydb-perl libsnmp-perl postfix python3-zmq smitools \
	fwlogwatch libtimedate-perl perl psad \
	monitoring-plugins-basic munin-node nagios-nrpe-plugin nagios-nrpe-server
