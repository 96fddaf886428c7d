# shellcheck shell=bash disable=SC2154 # sourced by scripts/bench, which has the variables
# Two responders side by side, and the program that asks both.

# Three hosts: `load`, and a cable from it to each responder. Behind each responder is 10.128.0.1.
hosts() {
  local name n=0
  ip netns add "${names}load"
  for name in mainmode charon; do
    n=$((n + 1))
    ip netns add "$names$name"
    ip link add "eth$n" netns "${names}load" type veth peer name eth0 netns "$names$name"
    ip -n "${names}load" addr add "192.0.2.$((n * 16 + 1))/28" dev "eth$n"
    ip -n "$names$name" addr add "192.0.2.$((n * 16 + 2))/28" dev eth0
    ip -n "$names$name" addr add 10.128.0.1/32 dev lo
    ip -n "${names}load" link set "eth$n" up
    ip -n "$names$name" link set lo up
    ip -n "$names$name" link set eth0 up
  done
}
no_hosts() {
  local name
  for name in load mainmode charon; do ip netns del "$names$name" 2>/dev/null || true; done
}
# How many have asked each: every one is another.
declare -A asked=([mainmode]=0 [charon]=0)
declare -A from=([mainmode]=192.0.2.17 [charon]=192.0.2.33) to=([mainmode]=192.0.2.18 [charon]=192.0.2.34)

# Keys and certificates of a kind (rsa2048, ecdsa256): a CA, the gateway's, and one of each who will ask, all with one key.
pki() {
  local dir=$work/pki-$1 name key n
  [[ -d $dir ]] && return
  mkdir "$dir"
  key=(-algorithm RSA -pkeyopt rsa_keygen_bits:2048)
  [[ $1 == ecdsa256 ]] && key=(-algorithm EC -pkeyopt ec_paramgen_curve:P-256)
  {
    openssl genpkey "${key[@]}" -out "$dir/ca.key"
    openssl req -x509 -new -key "$dir/ca.key" -subj /CN=ca -days 2 -out "$dir/ca.pem" \
      -addext keyUsage=critical,keyCertSign,cRLSign
    for name in gw load; do
      openssl genpkey "${key[@]}" -out "$dir/$name.key"
      openssl pkey -in "$dir/$name.key" -pubout -out "$dir/$name.pub"
    done
    certify gw gw.example
    for ((n = 0; n < warm_up + rounds * handshakes * $(wc -w <<<"$at_once"); n++)); do certify load "n$n.load.example"; done
  } >"$dir/out" 2>&1 || die "no certificates: $(tail -n 3 "$dir/out")"
  chmod 600 "$dir"/*.key
}
certify() { # NAME HOST: one certificate more in NAME.pem
  openssl x509 -new -force_pubkey "$dir/$1.pub" -subj "/CN=$2" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -days 2 \
    -extfile <(printf 'subjectAltName=DNS:%s\nkeyUsage=critical,digitalSignature\n' "$2") >>"$dir/$1.pem"
}

# Ours: both kinds of events audited, into a log on disk, each durable before its SA counts. With a third word there
# are tunnels too, with this proposal of ESP.
start_mainmode() { # GROUP psk|rsa2048|ecdsa256 [ESP]
  local dir=$work/mainmode auth="{ psk = \"$psk\" }" pki=$work/pki-$2
  rm -rf "$dir"
  mkdir -p "$dir"
  if [[ $2 != psk ]]; then
    pki "$2"
    auth="{ certificate = \"$pki/gw.pem\", key = \"$pki/gw.key\", ca = [\"$pki/ca.pem\"] }"
  fi
  cat >"$dir/mainmode.toml" <<CONF
[audit]
ipsec-main-mode = ["success", "failure"]
ipsec-quick-mode = ["success", "failure"]
[log]
directory = "$dir/log"
[listen]
addresses = ["${to[mainmode]}"]
[control]
socket = "$dir/control"
[[connection]]
name = "load"
keying = ["ikev1"]
local = { address = "${to[mainmode]}", id = "gw.example" }
remote = { address = "any" }
auth = $auth
proposals = ["aes256-sha256-$1"]
start = "wait"
CONF
  [[ -z ${3:-} ]] || cat >>"$dir/mainmode.toml" <<CONF
dataplane = "user"
[[connection.child]]
name = "net"
local = ["10.128.0.1"]
remote = ["10.0.0.0/9"]
proposals = ["$3"]
CONF
  ip netns exec "${names}mainmode" "$bin/mainmode" run -c "$dir/mainmode.toml" >"$dir/out" 2>&1 &
  pids[mainmode]=$!
  asked[mainmode]=0
  until_there "$dir/out" 'mainmode: started'
}

# Its log at 1, into a file, buffered as its default is; tables as its manual advises for many SAs, no limit to
# what comes from one address.
start_charon() { # GROUP psk|rsa2048|ecdsa256 [ESP]
  local dir=$work/charon plane='' auth=psk certs='' child='' pki=$work/pki-$2
  rm -rf "$dir"
  mkdir -p "$dir"/{x509,x509ca,private}
  if [[ $2 != psk ]]; then
    pki "$2"
    auth=pubkey certs='certs = gw.pem'
    cp "$pki/gw.pem" "$dir/x509/"
    cp "$pki/ca.pem" "$dir/x509ca/"
    cp "$pki/gw.key" "$dir/private/"
  fi
  if [[ -n ${3:-} ]]; then
    plane=kernel-libipsec
    child="children { net {
    local_ts = 10.128.0.1/32
    remote_ts = 10.0.0.0/9
    esp_proposals = $3 } }"
  fi
  cat >"$dir/strongswan.conf" <<CONF
charon {
  load = random nonce openssl pem pkcs1 pkcs8 x509 constraints pubkey hmac sha1 sha2 aes gmp curve25519 gcm kdf $plane kernel-netlink socket-default vici
  piddir = $dir
  ikesa_table_size = 4096
  ikesa_table_segments = 4
  dos_protection = no
  filelog { log { path = $dir/log
    default = 1
    flush_line = $flush } }
  plugins { vici { socket = unix://$dir/vici } }
}
CONF
  cat >"$dir/swanctl.conf" <<CONF
connections { load {
  version = 1
  local_addrs = ${to[charon]}
  proposals = aes256-sha256-$1
  local { auth = $auth
    $certs
    id = gw.example }
  remote { auth = $auth }
  $child
} }
secrets { ike-load { secret = "$psk" } }
CONF
  run_charon charon "$dir"
  asked[charon]=0
}

# A charon whose files are in DIR, on the host of its name, until it has its configuration.
run_charon() { # NAME DIR
  local n
  STRONGSWAN_CONF=$2/strongswan.conf ip netns exec "$names$1" unshare --mount \
    sh -c "mount -t tmpfs none /run && exec $charon" >"$2/out" 2>&1 &
  pids[$1]=$!
  for n in {1..100}; do
    [[ -S $2/vici ]] && swanctl --load-all --noprompt --file "$2/swanctl.conf" --uri "unix://$2/vici" \
      >"$2/loaded" 2>&1 && return
    sleep 0.1
  done
  die "charon does not take its configuration: $(cat "$2/out" "$2/loaded")"
}

until_there() { # FILE WORDS
  local n
  for n in {1..100}; do grep -qs "$2" "$1" && return; sleep 0.1; done
  die "nothing says '$2': $(cat "$1")"
}

stop() {
  kill "${pids[$1]}"
  wait "${pids[$1]}" || true
  unset "pids[$1]"
}

# CPU milliseconds of a process so far: user and system, all its threads.
cpu() {
  awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print ($12 + $13) * 1000 / hz }' "/proc/${pids[$1]}/stat"
}

# Its resident memory, in kB.
rss() {
  awk '/^VmRSS/ { print $2 }' "/proc/${pids[$1]}/status"
}

load() { # NAME GROUP COUNT AT_ONCE psk|rsa2048|ecdsa256 [ESP]: `seconds` is what it took
  local more=("first=${asked[$1]}")
  [[ $5 == psk ]] || more+=("certificates=$work/pki-$5")
  [[ -z ${6:-} ]] || more+=("child=$6")
  asked[$1]=$((asked[$1] + $3))
  MAINMODE_LOAD_PSK=$psk ip netns exec "${names}load" "$bin/examples/initiate" \
    "${from[$1]}:500" "${to[$1]}:500" "aes256-sha256-$2" "$3" "$4" "${more[@]}" >"$work/load"
  seconds=$(awk -v count="$3" '$1 == count && $2 == "established" { print $4; done = 1 } END { exit !done }' "$work/load")
}

# Every one of them has its event on disk, or the figure is worth nothing.
audited() { # EVENT COUNT
  local found
  found=$("$bin/mainmode" log query -c "$work/mainmode/mainmode.toml" --id "$1" --json | wc -l)
  [[ $found == "$2" ]] || die "$found events $1 for $2 negotiations"
}
