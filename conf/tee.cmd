# Every packet goes to all other ports, as copies that share one buffer (mode tee): a network tap.
#
#   umfwd --lcores 0@0,1@1 -a PCI0 -a PCI1 -a PCI2 -- -i --strict --cmdline-file=conf/tee.cmd
#
# Ports 0 and 1 are the line; port 2 sees what passes there. What port 2 receives goes to both ends.
set fwd tee
# A switch behind a port may send frames that are not for us: take them all.
set promisc all on
start
