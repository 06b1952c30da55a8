/* A stand-in for NVIDIA's library: GPUs are told by the file NVML_FILE, one line each: UUID MINOR MEMORY USED UTIL.
   A first line "error N" makes initialising fail with N, "crash" ends the process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gpu { char uuid[64]; unsigned minor; unsigned long long memory, used; unsigned util; };
static struct gpu gpus[16];
static unsigned count;

typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned gpu, memory; } utilization_t;

int nvmlInitWithFlags(unsigned flags) {
    char line[256];
    int number;
    (void) flags;
    FILE *file = fopen(NVML_FILE, "r");
    if (!file) return 9;
    count = 0;
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "error %d", &number) == 1) return number;
        if (!strncmp(line, "crash", 5)) abort();
        struct gpu *g = &gpus[count];
        if (sscanf(line, "%63s %u %llu %llu %u", g->uuid, &g->minor, &g->memory, &g->used, &g->util) == 5) count++;
    }
    fclose(file);
    return 0;
}
int nvmlDeviceGetCount_v2(unsigned *n) { *n = count; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, struct gpu **g) { *g = &gpus[i]; return i < count ? 0 : 2; }
int nvmlDeviceGetHandleByUUID(const char *uuid, struct gpu **g) {
    for (unsigned i = 0; i < count; i++)
        if (!strcmp(gpus[i].uuid, uuid)) { *g = &gpus[i]; return 0; }
    return 6;
}
int nvmlDeviceGetUUID(struct gpu *g, char *out, unsigned n) { snprintf(out, n, "%s", g->uuid); return 0; }
int nvmlDeviceGetMinorNumber(struct gpu *g, unsigned *minor) { *minor = g->minor; return 0; }
int nvmlDeviceGetName(struct gpu *g, char *out, unsigned n) { (void) g; snprintf(out, n, "Test GPU"); return 0; }
int nvmlDeviceGetMemoryInfo(struct gpu *g, memory_t *m) {
    m->total = g->memory; m->used = g->used; m->free = g->memory - g->used; return 0;
}
int nvmlDeviceGetUtilizationRates(struct gpu *g, utilization_t *u) { u->gpu = g->util; u->memory = 0; return 0; }
const char *nvmlErrorString(int number) { return number == 15 ? "GPU is lost" : "Unknown Error"; }
