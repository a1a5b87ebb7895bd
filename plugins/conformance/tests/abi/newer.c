/* A plugin of a later minor version: its table goes on after what this daemon knows. */
#define LATER_MINOR 9u

#include "landlord_provider.h"

/* DescribeResponse: name "newer", version "1.9.0". */
static uint8_t description[] = "\x0a\x05" "newer" "\x12\x05" "1.9.0";

static int instance;

static void keep(uint8_t *ptr, size_t len, size_t capacity) {
    (void)ptr;
    (void)len;
    (void)capacity;
}

static void *create(const landlord_host_table *host) {
    (void)host;
    return &instance;
}

static void call(void *self, uint32_t method, uint64_t call_id, uint64_t deadline_ms, landlord_slice request,
                 void *context, landlord_completion done) {
    (void)self;
    (void)call_id;
    (void)deadline_ms;
    (void)request;
    size_t len = method == LANDLORD_METHOD_DESCRIBE ? sizeof description - 1 : 0;
    landlord_buffer payload = {description, len, len, keep};
    done(context, LANDLORD_STATUS_OK, payload);
}

static void cancel(void *self, uint64_t call_id) {
    (void)self;
    (void)call_id;
}

static void destroy(void *self) { (void)self; }

typedef struct later_table {
    landlord_plugin_table known;
    void (*later)(void *instance);
} later_table;

static const later_table table = {
    {LANDLORD_MAGIC, LANDLORD_ABI_MAJOR, LATER_MINOR, sizeof(later_table), create, call, cancel, destroy},
    destroy,
};

const landlord_plugin_table *landlord_plugin(void) { return &table.known; }
