# Two ports feed each other; frames leave with the address of who is at the other end (mode mac).
#
#   umfwd --lcores 0@0,1@1 -a PCI0 -a PCI1 -- -i --strict --cmdline-file=conf/two-ports-mac.cmd
#
# Put the addresses of your own neighbours here: port 0 faces one, port 1 the other.
set fwd mac
set eth-peer 0 02:00:00:00:00:01
set eth-peer 1 02:00:00:00:00:02
# What port 0 receives leaves by port 1, and back.
set topology paired
start
