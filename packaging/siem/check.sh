#!/usr/bin/env bash
# Holds the configurations of this folder to the programs that they are for, where these are installed:
#
#   packaging/siem/check.sh
#
# RSYSLOGD, SYSLOG_NG, NATS_SERVER, VECTOR, FLUENT_BIT, OTELCOL name other programs than those in PATH;
# RSYSLOG_MODULES and SYSLOG_NG_MODULES their folders of modules. Certificates are made for the check.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0

# Prints what came of a check: its name, the program, and the command that is to succeed.
check() {
    local name=$1 program=$2
    shift 2
    if [ -z "$(type -P "$program")" ]; then
        echo "skipped  $name: $program is not installed"
        skipped=$((skipped + 1))
    elif "$@" >"$work/out" 2>&1; then
        echo "ok       $name"
        passed=$((passed + 1))
    else
        echo "FAILED   $name"
        sed 's/^/         /' "$work/out"
        failed=$((failed + 1))
    fi
}

# The configuration with certificates that exist, and folders that may be written to.
here() {
    sed "s#/etc/enforcer/siem#$work/tls#g; s#/var/lib/#$work/lib/#g" "$1"
}

mkdir -p "$work/tls" "$work/lib" "$work/spool"
openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=siem.example.com \
    -keyout "$work/tls/server.key" -out "$work/tls/server.pem" 2>/dev/null
cp "$work/tls/server.pem" "$work/tls/ca.pem"
cp "$work/tls/server.pem" "$work/tls/client.pem"
cp "$work/tls/server.key" "$work/tls/client.key"

for part in forward receive; do
    { # As at the top of rsyslog.conf.
        echo "global(maxMessageSize=\"256k\" workDirectory=\"$work/spool\")"
        here "rsyslog/$part.conf"
    } >"$work/rsyslog-$part.conf"
    check "rsyslog/$part.conf" "${RSYSLOGD:-rsyslogd}" "${RSYSLOGD:-rsyslogd}" -N1 \
        ${RSYSLOG_MODULES:+-M "$RSYSLOG_MODULES"} -f "$work/rsyslog-$part.conf"
    here "vector/$part.yaml" >"$work/vector-$part.yaml"
    SIEM_URL=https://siem.example.com/ HEC_TOKEN=t \
        check "vector/$part.yaml" "${VECTOR:-vector}" "${VECTOR:-vector}" validate --no-environment \
        "$work/vector-$part.yaml"
    here "fluent-bit/$part.yaml" >"$work/fluent-bit-$part.yaml"
    SIEM_HOST=siem.example.com HEC_TOKEN=t \
        check "fluent-bit/$part.yaml" "${FLUENT_BIT:-fluent-bit}" "${FLUENT_BIT:-fluent-bit}" --dry-run \
        -c "$work/fluent-bit-$part.yaml"
    here "otelcol/$part.yaml" >"$work/otelcol-$part.yaml"
    SIEM_OTLP=https://siem.example.com:4318 \
        check "otelcol/$part.yaml" "${OTELCOL:-otelcol-contrib}" "${OTELCOL:-otelcol-contrib}" validate \
        --config "$work/otelcol-$part.yaml"
done

{ # As in syslog-ng.conf.
    head -n 1 syslog-ng/receive.conf
    echo 'options { log-msg-size(262144); };'
    here syslog-ng/receive.conf | tail -n +2
} >"$work/syslog-ng.conf"
check syslog-ng/receive.conf "${SYSLOG_NG:-syslog-ng}" "${SYSLOG_NG:-syslog-ng}" --syntax-only --no-caps \
    ${SYSLOG_NG_MODULES:+--module-path="$SYSLOG_NG_MODULES"} -f "$work/syslog-ng.conf" -R "$work/persist"

here nats/server.conf >"$work/nats.conf"
ENFORCER_NATS_PASSWORD=a SIEM_NATS_PASSWORD=b \
    check nats/server.conf "${NATS_SERVER:-nats-server}" "${NATS_SERVER:-nats-server}" -t -c "$work/nats.conf"

cat >"$work/collector.service" <<'UNIT'
[Service]
ExecStart=/bin/true
UNIT
mkdir -p "$work/collector.service.d"
cp collector-reads-log.conf "$work/collector.service.d/enforcer.conf"
check collector-reads-log.conf systemd-analyze systemd-analyze verify --man=no "$work/collector.service"

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
