// SPDX-License-Identifier: BSD-2-Clause
// kernel_umbuf.c - a plug-in of strongSwan's charon: IKE negotiates, umfwd carries the ESP (docs/gateway-ike.md).
//
// In charon's list it stands before kernel-netlink, which serves addresses and routes as ever: the first one that
// offers to carry IPsec is the one that does.
#include "app/charon/ipsec.h"

// charon finds it by its name, which is that of the file.
__attribute__((visibility("default"))) plugin_t* kernel_umbuf_plugin_create(void);

static char* get_name(plugin_t* plugin) {
    (void)plugin;
    static char name[] = "kernel-umbuf";
    return name;
}

static int get_features(plugin_t* plugin, plugin_feature_t* features[]) {
    (void)plugin;
    static plugin_feature_t all[] = {
        PLUGIN_CALLBACK(kernel_ipsec_register, umfwd_ipsec_create),
            PLUGIN_PROVIDE(CUSTOM, "kernel-ipsec"),
                PLUGIN_DEPENDS(RNG, RNG_WEAK),
    };
    *features = all;
    return countof(all);
}

static void destroy(plugin_t* plugin) {
    free(plugin);
}

plugin_t* kernel_umbuf_plugin_create(void) {
    plugin_t* plugin = malloc_thing(plugin_t);
    *plugin = (plugin_t){.get_name = get_name, .get_features = get_features, .destroy = destroy};
    return plugin;
}
