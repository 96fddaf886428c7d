# shellcheck shell=bash disable=SC2154 # sourced by scripts/bench, which has the variables
# What a negotiation costs the responder.

handshakes() {
  echo '## Responder CPU per Main Mode'
  echo
  compare psk ''
}

tunnels() {
  local auth
  echo '## Responder CPU per Main Mode and Quick Mode with PFS'
  for auth in $auths; do
    echo
    echo "### Authentication: $auth"
    echo
    compare "$auth" aes128gcm16
  done
}

# A table: each group, and each number at once.
compare() { # psk|rsa2048|ecdsa256 ESP
  local group name many count esp
  hosts
  echo '| group | at once | mainmode | charon | mainmode / charon | arithmetic alone | mainmode / arithmetic | mainmode a second | charon a second |'
  echo '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |'
  for group in $groups; do
    esp=${2:+$2-$group} count=$warm_up
    for name in mainmode charon; do
      "start_$name" "$group" "$1" "$esp"
      load "$name" "$group" "$warm_up" 1 "$1" "$esp" || die "$name and $group: the negotiations fail"
    done
    for many in $at_once; do
      measure "$group" "$many" "$1" "$esp"
      count=$((count + rounds * handshakes))
    done
    audited $([[ $1 == psk ]] && echo 4650 || echo 4651) "$count"
    [[ -z $esp ]] || audited 5451 "$count"
    for name in mainmode charon; do stop "$name"; done
  done
  no_hosts
  echo
}

measure() { # GROUP AT_ONCE psk|rsa2048|ecdsa256 ESP: a line of the table
  local -A used=([mainmode]=0 [charon]=0) took=([mainmode]=0 [charon]=0)
  local name round before seconds arithmetic=$work/arithmetic
  for ((round = 1; round <= rounds; round++)); do
    for name in mainmode charon; do
      before=$(cpu $name)
      load "$name" "$1" "$handshakes" "$2" "$3" "$4" || die "$name and $1: the negotiations fail"
      used[$name]=$(awk "BEGIN { print ${used[$name]} + $(cpu $name) - $before }")
      took[$name]=$(awk "BEGIN { print ${took[$name]} + $seconds }")
    done
  done
  # Under the same conditions: with many at once the other core is as busy, and it may be the other half of this one.
  if (($2 > 1)); then
    "$bin/examples/arithmetic" "$1" >/dev/null &
    "$bin/examples/arithmetic" "$1" >"$arithmetic"
    wait $!
  else
    "$bin/examples/arithmetic" "$1" >"$arithmetic"
  fi
  awk -v group="$1" -v many="$2" -v n=$((rounds * handshakes)) -v ours="${used[mainmode]}" -v auth="$3" -v esp="$4" \
    -v theirs="${used[charon]}" -v our_time="${took[mainmode]}" -v their_time="${took[charon]}" '
    $1 == group { dh = $4 / 1000 } $1 == "symmetric" { rest = $2 / 1000 } $1 == auth { signs = $4 / 1000 }
    END { ours /= n; theirs /= n; least = dh * (esp ? 2 : 1) + rest + signs
      printf "| %s | %d | %.3f ms | %.3f ms | **%.2f** | %.3f ms | %.2f | %.0f | %.0f |\n", group, many, ours,
        theirs, ours / theirs, least, ours / least, n / our_time, n / their_time }' "$arithmetic"
}
