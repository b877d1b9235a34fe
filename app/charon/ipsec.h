// SPDX-License-Identifier: BSD-2-Clause
// ipsec.h - strongSwan's kernel_ipsec_t, with umfwd where the kernel would be.
//
// What is kept here is what charon believes to be installed, so that a umfwd that comes back can be told, and
// what charon counts and umfwd does not: who wants a policy.
//
// I1  SAs are kept by charon's names for them (SPI, destination), policies by all that charon says of them.
// I2  A policy is at umfwd once, however many CHILD_SAs want it: a rekey touches none.
// I3  An SA is never told twice to a umfwd: numbers that its key has sent would be sent again. An SA that a new
//     umfwd has not is rekeyed.
#pragma once
#include <daemon.h>
#include <kernel/kernel_ipsec.h>

// umfwd_ipsec_create - charon's to destroy. The socket's path is <daemon>.plugins.kernel-umbuf.socket.
kernel_ipsec_t* umfwd_ipsec_create(void);
