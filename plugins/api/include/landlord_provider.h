/*
 * The C ABI between the plugin host and a plugin library: tables of functions, protobuf bytes
 * both ways (messages of landlord/provider/v1/provider.proto), completion by callback.
 *
 * A library exports one function, landlord_plugin().
 *
 * Rules
 * - Memory is freed by the side that made it: a buffer carries its own free.
 * - No exception or panic crosses: a plugin returns LANDLORD_STATUS_PANIC.
 * - call returns at once; done is called exactly once for each call, from any thread, also
 *   after cancel.
 * - The request's bytes are valid only until call returns.
 * - The plugin owns its threads. A library is never unloaded.
 *
 * Versions
 * The major number must be equal. A higher minor number adds functions at the end of a table;
 * struct_size shows how many a side has, and neither calls what the other lacks.
 *
 * The same in Rust is plugins/api/src/abi.rs; a test holds the two together.
 */
#ifndef LANDLORD_PROVIDER_H
#define LANDLORD_PROVIDER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "landlord" in ASCII. */
#define LANDLORD_MAGIC UINT64_C(0x6c616e646c6f7264)
#define LANDLORD_ABI_MAJOR 1u
#define LANDLORD_ABI_MINOR 1u

/* The payload is the method's response. */
#define LANDLORD_STATUS_OK 0u
/* The payload is a landlord.provider.v1.Error. */
#define LANDLORD_STATUS_ERROR 1u
/* The plugin panicked; the payload is text. */
#define LANDLORD_STATUS_PANIC 2u

/* Methods. The numbers are never reused. */
#define LANDLORD_METHOD_DESCRIBE 1u
#define LANDLORD_METHOD_CONFIGURE 2u
#define LANDLORD_METHOD_VALIDATE 3u
#define LANDLORD_METHOD_ENSURE_NETWORK 10u
#define LANDLORD_METHOD_ENSURE_CLUSTER 11u
#define LANDLORD_METHOD_ENSURE_ADDONS 12u
#define LANDLORD_METHOD_KUBE_ACCESS 13u
#define LANDLORD_METHOD_ENSURE_NODE_POOL 14u
#define LANDLORD_METHOD_ENSURE_DNS_ZONE 15u
#define LANDLORD_METHOD_ENSURE_DNS_RECORDS 16u
#define LANDLORD_METHOD_ENSURE_IDENTITY 17u
#define LANDLORD_METHOD_OBSERVE 30u
#define LANDLORD_METHOD_DELETE 31u
#define LANDLORD_METHOD_LIST_OWNED 32u

/* Borrowed bytes; ptr may dangle when len is 0. */
typedef struct landlord_slice {
    const uint8_t *ptr;
    size_t len;
} landlord_slice;

/* Owned bytes, freed by the free of the side that made them. */
typedef struct landlord_buffer {
    uint8_t *ptr;
    size_t len;
    /* The maker's own note, handed back to free. */
    size_t capacity;
    /* Called exactly once, also when len is 0; never null. */
    void (*free)(uint8_t *ptr, size_t len, size_t capacity);
} landlord_buffer;

/* Reports the result of a call: the caller's context, a status, the payload (now the callee's). */
typedef void (*landlord_completion)(void *context, uint32_t status, landlord_buffer payload);

/* What the host offers to a plugin. Lives as long as the process. */
typedef struct landlord_host_table {
    size_t struct_size;
    /* Handed back in every call of the table. */
    void *context;
    /* Takes a log line: 1 error, 2 warn, 3 info, 4 debug, 5 trace; a JSON object with "target",
     * "message" and further fields. A field named "metric" with "value" is a measurement. */
    void (*log)(void *context, uint32_t level, landlord_slice json);
} landlord_host_table;

/* What a plugin offers to the host. Lives as long as the process. */
typedef struct landlord_plugin_table {
    uint64_t magic;
    uint32_t abi_major;
    uint32_t abi_minor;
    size_t struct_size;
    /* Makes an instance; null on failure. host lives as long as the process. */
    void *(*create)(const landlord_host_table *host);
    /* Starts a call; see the rules above. deadline_ms is the time left, in milliseconds. */
    void (*call)(void *instance, uint32_t method, uint64_t call_id, uint64_t deadline_ms,
                 landlord_slice request, void *context, landlord_completion done);
    /* Requests a call to end early; it still completes, with an error. */
    void (*cancel)(void *instance, uint64_t call_id);
    /* Ends an instance; no call may be under way. */
    void (*destroy)(void *instance);
} landlord_plugin_table;

/* The exported function. */
const landlord_plugin_table *landlord_plugin(void);

#ifdef __cplusplus
}
#endif

#endif
