# shellcheck shell=bash disable=SC2154 # sourced by scripts/bench, which has the variables
# What an established Main Mode SA keeps resident.

# Beyond the first ones, with which what all of them share is made: caches, buffers, a thread's own heap.
memory() {
  local name few=1000 many=5000 group=x25519
  local -A empty=() some=() all=()
  echo '## Resident memory per established Main Mode SA'
  echo
  echo "| | with the first $warm_up | with $few more | with $many more | each of $few | each of $many |"
  echo '| --- | ---: | ---: | ---: | ---: | ---: |'
  hosts
  for name in mainmode charon; do
    "start_$name" "$group" psk
    load "$name" "$group" "$warm_up" 32 psk || die "$name: the negotiations fail"
    empty[$name]=$(rss $name)
    load "$name" "$group" $few 32 psk || die "$name: the negotiations fail"
    sleep 2
    some[$name]=$(rss $name)
    load "$name" "$group" $((many - few)) 32 psk || die "$name: the negotiations fail"
    sleep 2
    all[$name]=$(rss $name)
    awk -v name=$name -v empty="${empty[$name]}" -v some="${some[$name]}" -v all="${all[$name]}" -v few=$few \
      -v many=$many 'BEGIN { printf "| %s | %d kB | %d kB | %d kB | **%.1f kB** | **%.1f kB** |\n", name, empty, some, all,
        (some - empty) / few, (all - empty) / many }'
  done
  audited 4650 $((warm_up + many))
  for name in mainmode charon; do stop $name; done
  no_hosts
  echo
}
