/* A plugin in C: the smallest that works, and its broken sisters by macro. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "landlord_provider.h"

#ifndef MAGIC
#define MAGIC LANDLORD_MAGIC
#endif
#ifndef MAJOR
#define MAJOR LANDLORD_ABI_MAJOR
#endif
#ifndef SIZE
#define SIZE sizeof(landlord_plugin_table)
#endif

static int the_instance;

static void free_bytes(uint8_t *ptr, size_t len, size_t capacity) {
    (void)len;
    (void)capacity;
    free(ptr);
}

static void answer(void *context, landlord_completion done, size_t len, const char *bytes) {
    uint8_t *copy = len ? malloc(len) : NULL;
    if (copy && bytes) {
        memcpy(copy, bytes, len);
    } else if (copy) {
        memset(copy, 0, len);
    }
    landlord_buffer payload = {copy, len, len, free_bytes};
    done(context, LANDLORD_STATUS_OK, payload);
}

static void *create(const landlord_host_table *host) {
    static const char line[] = "{\"target\":\"c\",\"message\":\"hello from C\"}";
    landlord_slice json = {(const uint8_t *)line, sizeof line - 1};
    host->log(host->context, 3, json);
#ifdef NO_INSTANCE
    (void)the_instance;
    return NULL;
#else
    return &the_instance;
#endif
}

static void call(void *instance, uint32_t method, uint64_t call_id, uint64_t deadline_ms,
                 landlord_slice request, void *context, landlord_completion done) {
    (void)instance;
    (void)call_id;
    (void)deadline_ms;
    (void)request;
    if (method == LANDLORD_METHOD_DESCRIBE) {
        answer(context, done, 3, "\x0a\x01" "c"); /* name: "c" */
        return;
    }
    if (method == LANDLORD_METHOD_CONFIGURE) {
        answer(context, done, 0, NULL);
        return;
    }
#ifdef SCRIBBLE
    for (int fd = 3; fd < 32; fd++) {
        if (write(fd, "\x00\x00\x00\x04junkjunkjunk", 16) < 0) {
            continue;
        }
    }
#endif
#ifdef TWICE
    answer(context, done, 0, NULL);
#endif
#ifdef OVERSIZE
    answer(context, done, 17u << 20, NULL);
#else
    answer(context, done, 0, NULL);
#endif
}

static void cancel(void *instance, uint64_t call_id) {
    (void)instance;
    (void)call_id;
}

static void destroy(void *instance) { (void)instance; }

static const landlord_plugin_table table = {
    MAGIC, MAJOR, LANDLORD_ABI_MINOR, SIZE, create, call, cancel, destroy,
};

#ifndef NO_SYMBOL
const landlord_plugin_table *landlord_plugin(void) {
#ifdef NULL_TABLE
    (void)table;
    return NULL;
#else
    return &table;
#endif
}
#else
const landlord_plugin_table *other_name(void);
const landlord_plugin_table *other_name(void) { return &table; }
#endif
