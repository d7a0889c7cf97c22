/*
 * How many CPUs this process may really use: its affinity, and the quota
 * of its control group (v1 or v2) rounded up.  Never 0.
 */
#ifndef MASTER_USABLE_CPUS_H
#define MASTER_USABLE_CPUS_H

#include <stdint.h>

uint32_t usable_cpus(void);
/* Quotas as the kernel writes them, rounded up; 0: no limit. */
uint32_t cpus_of_quota_v2(const char *cpu_max); /* "150000 100000", "max 100000" */
uint32_t cpus_of_quota_v1(const char *quota_us, const char *period_us);

#endif
