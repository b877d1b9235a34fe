// SPDX-License-Identifier: BSD-2-Clause
// ipsec.c - SAs and policies, as charon adds, asks for and takes them back.
#include "app/charon/ipsec.h"

#include <collections/linked_list.h>
#include <processing/jobs/callback_job.h>
#include <stdio.h>
#include <string.h>
#include <threading/mutex.h>

#include "app/charon/umfwd.h"

#define kUsualSocket "/run/umfwd.control"
#ifndef UM_SA_USE_TIME
#define UM_SA_USE_TIME 0  // scripts/charon-plugin knows better, where charon wants to be told
#endif

typedef struct Ipsec {
    kernel_ipsec_t public;  // first: charon's pointer is ours
    Umfwd* umfwd;
    mutex_t* lock;          // of the lists, and never held when charon is called
    linked_list_t* sas;     // [lock] Sa
    linked_list_t* policies;  // [lock] Policy
    rng_t* random;          // [lock] SPIs
    uint32_t tag, next;     // [lock] names of policies
    bool will_compare;      // [lock] a job that does is scheduled
} Ipsec;

typedef struct Sa {
    char name[kLongestName];
    uint32_t spi;    // network order, as charon has it
    uint32_t reqid;
    host_t* dst;
    bool inbound;
} Sa;

typedef struct Policy {
    char name[kLongestName];
    char* words;     // what umfwd was told but for the name
    uint32_t wanted; // by so many
} Policy;

// ---- asking

static void complain(const char* doing, const char* name, Said said, const char* answer) {
    DBG1(DBG_KNL, "%s %s failed: %s", doing, name, said == kAway ? "no umfwd answers" : answer);
}

static Said ask(Ipsec* ipsec, const char* doing, const char* name, const Words* words) {
    char* answer = NULL;
    const Said said = umfwd_ask(ipsec->umfwd, words, &answer);
    if (said != kOk) complain(doing, name, said, answer);
    free(answer);
    return said;
}

// take_away - it does not matter if it is not there.
static void take_away(Ipsec* ipsec, const char* what, const char* name) {
    Words words = {.length = 0};
    words_say(&words, "%s delete %s", what, name);
    umfwd_ask(ipsec->umfwd, &words, NULL);
}

// ---- SAs

static void forget_sa(Sa* sa) {
    sa->dst->destroy(sa->dst);
    free(sa);
}

static bool is_sa(const Sa* sa, const kernel_ipsec_sa_id_t* id) {
    return sa->spi == id->spi && sa->dst->ip_equals(sa->dst, id->dst);
}

// find_sa - null: charon has none. With the lock.
static Sa* find_sa(const Ipsec* ipsec, const kernel_ipsec_sa_id_t* id) {
    Sa* sa;
    Sa* found = NULL;
    enumerator_t* all = ipsec->sas->create_enumerator(ipsec->sas);
    while (found == NULL && all->enumerate(all, &sa))
        if (is_sa(sa, id)) found = sa;
    all->destroy(all);
    return found;
}

static bool has_spi(const Ipsec* ipsec, uint32_t spi) {
    Sa* sa;
    bool found = false;
    enumerator_t* all = ipsec->sas->create_enumerator(ipsec->sas);
    while (!found && all->enumerate(all, &sa)) found = sa->inbound && sa->spi == spi;
    all->destroy(all);
    return found;
}

static status_t get_spi(kernel_ipsec_t* public, host_t* src, host_t* dst, uint8_t protocol, uint32_t* spi) {
    Ipsec* ipsec = (Ipsec*)public;
    (void)src, (void)dst, (void)protocol;
    bool drawn;
    ipsec->lock->lock(ipsec->lock);
    do {
        uint32_t n = 0;
        drawn = ipsec->random->get_bytes(ipsec->random, sizeof n, (uint8_t*)&n);
        *spi = htonl(KERNEL_SPI_MIN + n % (KERNEL_SPI_MAX - KERNEL_SPI_MIN + 1));
    } while (drawn && has_spi(ipsec, *spi));
    ipsec->lock->unlock(ipsec->lock);
    return drawn ? SUCCESS : FAILED;
}

static status_t get_cpi(kernel_ipsec_t* public, host_t* src, host_t* dst, uint16_t* cpi) {
    (void)public, (void)src, (void)dst, (void)cpi;
    return NOT_SUPPORTED;
}

static status_t tell_sa(Ipsec* ipsec, const char* name, const kernel_ipsec_sa_id_t* id, const kernel_ipsec_add_sa_t* sa) {
    Words words = {.length = 0};
    const char* impossible = say_sa(&words, name, id, sa);
    status_t status = impossible != NULL ? NOT_SUPPORTED : FAILED;
    if (impossible != NULL) DBG1(DBG_KNL, "umfwd cannot serve SA %s: %s", name, impossible);
    else if (ask(ipsec, "adding SA", name, &words) == kOk) status = SUCCESS;
    words_wipe(&words);
    return status;
}

// An outbound SA that is added is what packets go by from now on: charon adds it when the peer is ready.
static status_t add_sa(kernel_ipsec_t* public, kernel_ipsec_sa_id_t* id, kernel_ipsec_add_sa_t* wanted) {
    Ipsec* ipsec = (Ipsec*)public;
    Sa* sa = malloc_thing(Sa);
    *sa = (Sa){.spi = id->spi, .reqid = wanted->reqid, .dst = id->dst->clone(id->dst), .inbound = wanted->inbound};
    sa_name(sa->name, id, wanted->inbound);
    // Listed first: met() leaves alone what is listed.
    ipsec->lock->lock(ipsec->lock);
    ipsec->sas->insert_last(ipsec->sas, sa);
    ipsec->lock->unlock(ipsec->lock);
    const status_t status = tell_sa(ipsec, sa->name, id, wanted);
    if (status == SUCCESS) return SUCCESS;
    ipsec->lock->lock(ipsec->lock);
    ipsec->sas->remove(ipsec->sas, sa, NULL);
    ipsec->lock->unlock(ipsec->lock);
    forget_sa(sa);
    return status;
}

// charon makes new SAs where it hears this.
static status_t update_sa(kernel_ipsec_t* public, kernel_ipsec_sa_id_t* id, kernel_ipsec_update_sa_t* update) {
    (void)public, (void)id, (void)update;
    return NOT_SUPPORTED;
}

static uint64_t number_behind(const char* answer, const char* word) {
    const char* at = strstr(answer, word);
    return at != NULL ? strtoull(at + strlen(word), NULL, 10) : 0;
}

static status_t query_sa(kernel_ipsec_t* public, kernel_ipsec_sa_id_t* id, kernel_ipsec_query_sa_t* query, uint64_t* bytes, uint64_t* packets,
                         time_t* last_use) {
    Ipsec* ipsec = (Ipsec*)public;
    (void)query;
    Words words = {.length = 0};
    ipsec->lock->lock(ipsec->lock);
    const Sa* sa = find_sa(ipsec, id);
    if (sa != NULL) words_say(&words, "sa show %s", sa->name);
    ipsec->lock->unlock(ipsec->lock);
    if (sa == NULL) return NOT_FOUND;
    char* answer = NULL;
    const bool ok = umfwd_ask(ipsec->umfwd, &words, &answer) == kOk;
    if (ok) {
        if (bytes != NULL) *bytes = number_behind(answer, "\n  bytes ");
        if (packets != NULL) *packets = number_behind(answer, "\n  packets ");
        if (last_use != NULL) *last_use = strstr(answer, "\n  idle never") != NULL ? 0 : time_monotonic(NULL) - (time_t)number_behind(answer, "\n  idle ");
    }
    free(answer);
    return ok ? SUCCESS : FAILED;
}

// Expiry - of an SA, for charon; told without a lock.
typedef struct Expiry {
    uint32_t spi;
    host_t* dst;
    bool hard;
} Expiry;

static Expiry* expiry_of(const Sa* sa, bool hard) {
    Expiry* expiry = malloc_thing(Expiry);
    *expiry = (Expiry){sa->spi, sa->dst->clone(sa->dst), hard};
    return expiry;
}

static void tell_charon(Expiry* expiry) {
    if (expiry == NULL) return;
    charon->kernel->expire(charon->kernel, IPPROTO_ESP, expiry->spi, expiry->dst, expiry->hard);
    expiry->dst->destroy(expiry->dst);
    free(expiry);
}

// left_without - of the outbound SAs of this child, the last but this one, if this one was added last: umfwd sends by
// what was added last, and would now send by none. So it is when both ends have begun at once. With the lock.
static Sa* left_without(const Ipsec* ipsec, const Sa* last) {
    Sa* sa;
    Sa* before = NULL;
    bool was_last = false;
    enumerator_t* all = ipsec->sas->create_enumerator(ipsec->sas);
    while (all->enumerate(all, &sa)) {
        if (sa->inbound || sa->reqid != last->reqid) continue;
        was_last = sa == last;
        if (sa != last) before = sa;
    }
    all->destroy(all);
    return was_last && !last->inbound ? before : NULL;
}

static status_t del_sa(kernel_ipsec_t* public, kernel_ipsec_sa_id_t* id, kernel_ipsec_del_sa_t* data) {
    Ipsec* ipsec = (Ipsec*)public;
    Expiry* expiry = NULL;
    (void)data;
    ipsec->lock->lock(ipsec->lock);
    Sa* sa = find_sa(ipsec, id);
    if (sa != NULL) {
        const Sa* other = left_without(ipsec, sa);
        if (other != NULL) expiry = expiry_of(other, false);
        ipsec->sas->remove(ipsec->sas, sa, NULL);
    }
    ipsec->lock->unlock(ipsec->lock);
    if (sa == NULL) return NOT_FOUND;
    take_away(ipsec, "sa", sa->name);
    forget_sa(sa);
    tell_charon(expiry);
    return SUCCESS;
}

static status_t flush_sas(kernel_ipsec_t* public) {
    Ipsec* ipsec = (Ipsec*)public;
    Sa* sa;
    ipsec->lock->lock(ipsec->lock);
    linked_list_t* sas = ipsec->sas;
    ipsec->sas = linked_list_create();
    ipsec->lock->unlock(ipsec->lock);
    while (sas->remove_first(sas, (void**)&sa) == SUCCESS) {
        take_away(ipsec, "sa", sa->name);
        forget_sa(sa);
    }
    sas->destroy(sas);
    return SUCCESS;
}

// ---- policies

static void forget_policy(Policy* policy) {
    free(policy->words);
    free(policy);
}

// say_named - a policy's words with its name, which is what differs.
static void say_named(Words* words, const char* name, const char* behind_name) {
    words_say(words, "policy add name %s%s", name, behind_name);
}

// find_policy - by its words. With the lock.
static Policy* find_policy(const Ipsec* ipsec, const char* behind_name) {
    Policy* policy;
    Policy* found = NULL;
    enumerator_t* all = ipsec->policies->create_enumerator(ipsec->policies);
    while (found == NULL && all->enumerate(all, &policy))
        if (streq(policy->words, behind_name)) found = policy;
    all->destroy(all);
    return found;
}

// want_policy - one more wants it. Null: umfwd has it already. Else it is new, and listed. With the lock.
static Policy* want_policy(Ipsec* ipsec, const char* behind_name) {
    Policy* policy = find_policy(ipsec, behind_name);
    if (policy != NULL) {
        ++policy->wanted;
        return NULL;
    }
    policy = malloc_thing(Policy);
    *policy = (Policy){.words = strdup(behind_name), .wanted = 1};
    snprintf(policy->name, sizeof policy->name, kOurs "%08x-%u", ipsec->tag, ++ipsec->next);
    ipsec->policies->insert_last(ipsec->policies, policy);
    return policy;
}

// One at a time, from the count to umfwd's answer: a policy that is wanted is there when add_policy returns.
static status_t add_policy(kernel_ipsec_t* public, kernel_ipsec_policy_id_t* id, kernel_ipsec_manage_policy_t* wanted) {
    Ipsec* ipsec = (Ipsec*)public;
    if (id->dir == POLICY_FWD) return SUCCESS;
    Words words = {.length = 0}, line = {.length = 0};
    const char* impossible = say_policy(&words, id, wanted);
    if (impossible != NULL) {
        DBG1(DBG_KNL, "umfwd cannot serve the policy%s: %s", words.text, impossible);
        return NOT_SUPPORTED;
    }
    status_t status = SUCCESS;
    ipsec->lock->lock(ipsec->lock);
    Policy* policy = want_policy(ipsec, words.text);
    if (policy != NULL) {
        say_named(&line, policy->name, policy->words);
        if (ask(ipsec, "adding policy", policy->words, &line) != kOk) {
            ipsec->policies->remove(ipsec->policies, policy, NULL);
            forget_policy(policy);
            status = FAILED;
        }
    }
    ipsec->lock->unlock(ipsec->lock);
    return status;
}

// SAs know when they were used.
static status_t query_policy(kernel_ipsec_t* public, kernel_ipsec_policy_id_t* id, kernel_ipsec_query_policy_t* query, time_t* use_time) {
    (void)public, (void)id, (void)query, (void)use_time;
    return NOT_SUPPORTED;
}

static status_t del_policy(kernel_ipsec_t* public, kernel_ipsec_policy_id_t* id, kernel_ipsec_manage_policy_t* wanted) {
    Ipsec* ipsec = (Ipsec*)public;
    if (id->dir == POLICY_FWD) return SUCCESS;
    Words words = {.length = 0};
    if (say_policy(&words, id, wanted) != NULL) return NOT_FOUND;
    ipsec->lock->lock(ipsec->lock);
    Policy* policy = find_policy(ipsec, words.text);
    if (policy != NULL && --policy->wanted == 0) {
        take_away(ipsec, "policy", policy->name);
        ipsec->policies->remove(ipsec->policies, policy, NULL);
        forget_policy(policy);
    }
    ipsec->lock->unlock(ipsec->lock);
    return policy != NULL ? SUCCESS : NOT_FOUND;
}

static status_t flush_policies(kernel_ipsec_t* public) {
    Ipsec* ipsec = (Ipsec*)public;
    Policy* policy;
    ipsec->lock->lock(ipsec->lock);
    while (ipsec->policies->remove_first(ipsec->policies, (void**)&policy) == SUCCESS) {
        take_away(ipsec, "policy", policy->name);
        forget_policy(policy);
    }
    ipsec->lock->unlock(ipsec->lock);
    return SUCCESS;
}

// ---- IKE's own packets: umfwd gives them to the kernel, and those of UDP 4500 that are ESP it takes itself

static bool bypass_socket(kernel_ipsec_t* public, int fd, int family) {
    (void)public, (void)fd, (void)family;
    return true;
}

static bool enable_udp_decap(kernel_ipsec_t* public, int fd, int family, uint16_t port) {
    (void)public, (void)fd, (void)family, (void)port;
    return true;
}

// ---- what umfwd says

static void compare_later(Ipsec* ipsec);

// An SA that goes without charon having said so is rekeyed, too: whoever took it away, the tunnel is wanted.
static void happened(void* self, const char* what, const char* name) {
    Ipsec* ipsec = self;
    Sa* sa;
    Expiry* expiry = NULL;
    if (!streq(what, "soft") && !streq(what, "hard") && !streq(what, "gone")) return;
    ipsec->lock->lock(ipsec->lock);
    enumerator_t* all = ipsec->sas->create_enumerator(ipsec->sas);
    while (expiry == NULL && all->enumerate(all, &sa))
        if (streq(sa->name, name)) expiry = expiry_of(sa, streq(what, "hard"));
    all->destroy(all);
    if (expiry != NULL && streq(what, "gone")) compare_later(ipsec);
    ipsec->lock->unlock(ipsec->lock);
    tell_charon(expiry);
}

static bool is_ours(const char* name) {
    return strpfx(name, kOurs);
}

static bool has_sa_named(const Ipsec* ipsec, const char* name) {
    Sa* sa;
    bool found = false;
    enumerator_t* all = ipsec->sas->create_enumerator(ipsec->sas);
    while (!found && all->enumerate(all, &sa)) found = streq(sa->name, name);
    all->destroy(all);
    return found;
}

static bool has_policy_named(const Ipsec* ipsec, const char* name) {
    Policy* policy;
    bool found = false;
    enumerator_t* all = ipsec->policies->create_enumerator(ipsec->policies);
    while (!found && all->enumerate(all, &policy)) found = streq(policy->name, name);
    all->destroy(all);
    return found;
}

// clear_up - of a list of umfwd's, what an earlier charon left. With the lock.
static void clear_up(Ipsec* ipsec, const char* list) {
    char name[kLongestName];
    for (const char* line = list; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
        if (sscanf(line, "sa %63s", name) == 1 && is_ours(name) && !has_sa_named(ipsec, name)) take_away(ipsec, "sa", name);
        if (sscanf(line, "policy %*u name %63s", name) == 1 && is_ours(name) && !has_policy_named(ipsec, name)) take_away(ipsec, "policy", name);
    }
}

// list_of - umfwd's list of `what`, to be freed; null: it says none.
static char* list_of(Ipsec* ipsec, const char* what) {
    char* list = NULL;
    Words words = {.length = 0};
    words_say(&words, "%s list", what);
    if (umfwd_ask(ipsec->umfwd, &words, &list) == kOk) return list;
    free(list);
    return NULL;
}

static bool is_listed(const char* list, const char* name) {
    char word[kLongestName + 2];
    snprintf(word, sizeof word, " %s ", name);
    return strstr(list, word) != NULL;
}

// With the lock.
static void say_policies_again(Ipsec* ipsec, const char* list) {
    Policy* policy;
    enumerator_t* all = ipsec->policies->create_enumerator(ipsec->policies);
    while (all->enumerate(all, &policy)) {
        if (is_listed(list, policy->name)) continue;
        Words line = {.length = 0};
        say_named(&line, policy->name, policy->words);
        ask(ipsec, "adding policy again", policy->words, &line);
    }
    all->destroy(all);
}

// lost_sas - Expiry for each CHILD_SA whose SAs umfwd has not. With the lock.
static linked_list_t* lost_sas(const Ipsec* ipsec, const char* list) {
    Sa* sa;
    linked_list_t* lost = linked_list_create();
    enumerator_t* all = ipsec->sas->create_enumerator(ipsec->sas);
    while (all->enumerate(all, &sa))
        if (sa->inbound && !is_listed(list, sa->name)) lost->insert_last(lost, expiry_of(sa, false));
    all->destroy(all);
    return lost;
}

// compare - what charon believes with what umfwd has, and mend it. Expiry of what is lost. With the lock.
static linked_list_t* compare(Ipsec* ipsec, const char* sas, const char* policies) {
    clear_up(ipsec, sas);
    clear_up(ipsec, policies);
    say_policies_again(ipsec, policies);
    return lost_sas(ipsec, sas);
}

// met - and again later, as long as something is lost: charon rekeys no CHILD_SA that is just coming or going.
static void met(void* self) {
    Ipsec* ipsec = self;
    Expiry* expiry;
    ipsec->lock->lock(ipsec->lock);
    char* sas = list_of(ipsec, "sa");
    char* policies = list_of(ipsec, "policy");
    linked_list_t* lost = sas != NULL && policies != NULL ? compare(ipsec, sas, policies) : linked_list_create();
    if (lost->get_count(lost) > 0) compare_later(ipsec);
    ipsec->lock->unlock(ipsec->lock);
    while (lost->remove_first(lost, (void**)&expiry) == SUCCESS) tell_charon(expiry);
    lost->destroy(lost);
    free(sas);
    free(policies);
}

static job_requeue_t compare_now(void* self) {
    Ipsec* ipsec = self;
    ipsec->lock->lock(ipsec->lock);
    ipsec->will_compare = false;
    ipsec->lock->unlock(ipsec->lock);
    met(ipsec);
    return JOB_REQUEUE_NONE;
}

// With the lock. When charon has forgotten CHILD_SAs that were rekeyed.
static void compare_later(Ipsec* ipsec) {
    const uint32_t in_s = 10;
    if (ipsec->will_compare) return;
    ipsec->will_compare = true;
    lib->scheduler->schedule_job(lib->scheduler, (job_t*)callback_job_create(compare_now, ipsec, NULL, NULL), in_s);
}

// ---- the whole of it

static kernel_feature_t get_features(kernel_ipsec_t* public) {
    (void)public;
    return KERNEL_ESP_V3_TFC | KERNEL_NO_POLICY_UPDATES | UM_SA_USE_TIME;
}

static void destroy(kernel_ipsec_t* public) {
    Ipsec* ipsec = (Ipsec*)public;
    umfwd_destroy(ipsec->umfwd);
    ipsec->sas->destroy_function(ipsec->sas, (void*)forget_sa);
    ipsec->policies->destroy_function(ipsec->policies, (void*)forget_policy);
    ipsec->random->destroy(ipsec->random);
    ipsec->lock->destroy(ipsec->lock);
    free(ipsec);
}

kernel_ipsec_t* umfwd_ipsec_create(void) {
    rng_t* random = lib->crypto->create_rng(lib->crypto, RNG_WEAK);
    if (random == NULL) return NULL;
    Ipsec* ipsec = malloc_thing(Ipsec);
    *ipsec = (Ipsec){
        .public = {.get_features = get_features, .get_spi = get_spi, .get_cpi = get_cpi, .add_sa = add_sa, .update_sa = update_sa,
                   .query_sa = query_sa, .del_sa = del_sa, .flush_sas = flush_sas, .add_policy = add_policy, .query_policy = query_policy,
                   .del_policy = del_policy, .flush_policies = flush_policies, .bypass_socket = bypass_socket,
                   .enable_udp_decap = enable_udp_decap, .destroy = destroy},
        .lock = mutex_create(MUTEX_TYPE_DEFAULT), .sas = linked_list_create(), .policies = linked_list_create(), .random = random};
    const char* path = lib->settings->get_str(lib->settings, "%s.plugins.kernel-umbuf.socket", kUsualSocket, lib->ns);
    ipsec->umfwd = umfwd_create(path, (UmfwdOwner){ipsec, met, happened});
    if (!random->get_bytes(random, sizeof ipsec->tag, (uint8_t*)&ipsec->tag)) return destroy(&ipsec->public), NULL;
    umfwd_start(ipsec->umfwd);
    return &ipsec->public;
}
