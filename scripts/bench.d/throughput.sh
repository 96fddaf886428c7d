# shellcheck shell=bash disable=SC2154 # sourced by scripts/bench, which has the variables
# TCP through a tunnel whose ESP both ends make in user space, ours beside strongSwan's kernel-libipsec.

# Two pairs of hosts: what is behind the left is 10.7.1.1, behind the right 10.7.2.1.
pairs() {
  local name side n
  for name in mainmode charon; do
    for side in left right; do ip netns add "$names$name-$side"; done
    ip link add eth0 netns "$names$name-left" type veth peer name eth0 netns "$names$name-right"
    n=0
    for side in left right; do
      n=$((n + 1))
      ip -n "$names$name-$side" addr add "192.0.2.$n/24" dev eth0
      ip -n "$names$name-$side" addr add "10.7.$n.1/24" dev lo
      ip -n "$names$name-$side" link set lo up
      ip -n "$names$name-$side" link set eth0 up
    done
  done
}
no_pairs() {
  local name side
  for name in mainmode charon; do
    for side in left right; do ip netns del "$names$name-$side" 2>/dev/null || true; done
  done
}

# One end; the left one is number 1.
mainmode_end() { # SIDE OURS THEIRS ESP
  local dir=$work/mainmode-$1
  mkdir -p "$dir"
  cat >"$dir/mainmode.toml" <<CONF
[audit]
ipsec-main-mode = ["success", "failure"]
[log]
directory = "$dir/log"
[control]
socket = "$dir/control"
[[connection]]
name = "gw"
local = { address = "192.0.2.$2" }
remote = { address = "192.0.2.$3" }
auth = { psk = "$psk" }
proposals = ["aes256-sha256-x25519"]
dataplane = "user"
start = "wait"
[[connection.child]]
name = "net"
local = ["10.7.$2.0/24"]
remote = ["10.7.$3.0/24"]
proposals = ["$4-x25519"]
CONF
  ip netns exec "${names}mainmode-$1" "$bin/mainmode" run -c "$dir/mainmode.toml" >"$dir/out" 2>&1 &
  pids[mainmode-$1]=$!
  until_there "$dir/out" 'mainmode: started'
}
mainmode_up() {
  ip netns exec "${names}mainmode-left" "$bin/mainmode" up gw -c "$work/mainmode-left/mainmode.toml" \
    >"$work/up" 2>&1 || die "no tunnel: $(cat "$work/up")"
}
charon_end() { # SIDE OURS THEIRS ESP
  local dir=$work/charon-$1
  mkdir -p "$dir"
  cat >"$dir/strongswan.conf" <<CONF
charon {
  load = random nonce openssl hmac sha1 sha2 aes gmp curve25519 gcm kdf kernel-libipsec kernel-netlink socket-default vici
  piddir = $dir
  filelog { log { path = $dir/log } }
  plugins { vici { socket = unix://$dir/vici } }
}
CONF
  cat >"$dir/swanctl.conf" <<CONF
connections { gw {
  version = 1
  local_addrs = 192.0.2.$2
  remote_addrs = 192.0.2.$3
  proposals = aes256-sha256-x25519
  local { auth = psk }
  remote { auth = psk }
  children { net {
    local_ts = 10.7.$2.0/24
    remote_ts = 10.7.$3.0/24
    esp_proposals = $4-x25519 } }
} }
secrets { ike-load { secret = "$psk" } }
CONF
  run_charon "charon-$1" "$dir"
}
charon_up() {
  swanctl --initiate --child net --uri "unix://$work/charon-left/vici" >"$work/up" 2>&1 ||
    die "no tunnel: $(cat "$work/up")"
}

# Mbit/s that arrive, from left to right.
iperf() { # NAME
  local dir=$work/$1-right json=$work/iperf.json
  ip netns exec "$names$1-right" iperf3 -s -1 -B 10.7.2.1 >"$dir/iperf" 2>&1 &
  pids[iperf]=$!
  sleep 0.5
  ip netns exec "$names$1-left" iperf3 -c 10.7.2.1 -B 10.7.1.1 -t "$throughput_seconds" -J >"$json" 2>&1 ||
    die "iperf3 through $1: $(tail -n 5 "$json")"
  wait "${pids[iperf]}" || true
  unset 'pids[iperf]'
  python3 -c 'import json,sys; print(round(json.load(open(sys.argv[1]))["end"]["sum_received"]["bits_per_second"] / 1e6))' "$json"
}

throughput() {
  local name side suite round rate
  echo '## TCP through the user-space plane'
  echo
  echo '| ESP | mainmode | kernel-libipsec | mainmode / kernel-libipsec | one core alone: sealing, opening |'
  echo '| --- | ---: | ---: | ---: | ---: |'
  for suite in $suites; do
    pairs
    for name in mainmode charon; do
      "${name}_end" left 1 2 "$suite"
      "${name}_end" right 2 1 "$suite"
      "${name}_up"
    done
    local -A sum=([mainmode]=0 [charon]=0)
    for ((round = 1; round <= rounds; round++)); do
      for name in mainmode charon; do
        rate=$(iperf $name)
        sum[$name]=$((sum[$name] + rate))
      done
    done
    for name in mainmode charon; do
      for side in left right; do stop "$name-$side"; done
    done
    no_pairs
    "$bin/examples/arithmetic" "$suite" >"$work/arithmetic"
    awk -v suite="$suite" -v n="$rounds" -v ours="${sum[mainmode]}" -v theirs="${sum[charon]}" '
      $1 == suite { seal = $2; open = $3 }
      END { printf "| %s | %.0f Mbit/s | %.0f Mbit/s | **%.1f** | %.0f, %.0f Mbit/s |\n", suite, ours / n, theirs / n,
        ours / theirs, seal, open }' "$work/arithmetic"
  done
  echo
}
