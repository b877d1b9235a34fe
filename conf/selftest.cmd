# Does this machine forward? Bursts go round between two ports in one process, without any NIC.
#
#   umfwd --lcores 0@0,1@1 --no-pci --no-huge -m 512 --vdev net_ring0 --vdev net_ring1 -- \
#         -i --strict --cmdline-file=conf/selftest.cmd
#
# Type "show port stats all" to see the rates, "quit" to end: every packet must be accounted for.
set fwd macswap
set burst 64
start tx_first 4
show port summary all
