/* Make this process believe that its processor has narrower registers than it has.
 *
 * Loaded by LD_PRELOAD; NARROW_TO says how far: avx2, avx or sse. CPUID then faults (arch_prctl
 * ARCH_CPUID_SET, Linux 4.12, processors with "cpuid_fault"), and the fault handler answers in its
 * place, without the bits of what is wider. Libraries that ask CPUID, as ONNX Runtime, MNN and
 * OpenVINO do, take their narrower kernels; the wide instructions themselves would still run.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { SET_CPUID = 0x1012, CPUID_BYTES = 2, REGISTERS = 4 };
enum { EAX, EBX, ECX, EDX };

#define BIT(n) (1u << (n))

struct hidden {
    unsigned leaf, subleaf, from; /* from: the level, of levels, at which the bits are hidden */
    unsigned bits[REGISTERS];
};

static const char *const levels[] = {"avx2", "avx", "sse"};
enum { AVX2, AVX, SSE, LEVELS };

/* Bits as in Intel's Software Developer's Manual, volume 2, CPUID. */
static const struct hidden table[] = {
    /* AVX-512 F DQ IFMA PF ER CD BW VL; VBMI VBMI2 VNNI BITALG VPOPCNTDQ; 4VNNIW 4FMAPS
     * VP2INTERSECT AMX-BF16 FP16 AMX-TILE AMX-INT8 */
    {7, 0, AVX2,
     {0, BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31),
      BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14),
      BIT(2) | BIT(3) | BIT(8) | BIT(22) | BIT(23) | BIT(24) | BIT(25)}},
    {7, 1, AVX2, {BIT(4) | BIT(5) | BIT(21), 0, 0, 0}}, /* AVX-VNNI, AVX-512 BF16, AMX-FP16 */
    {7, 0, AVX, {0, BIT(5), 0, 0}},                      /* AVX2 */
    {1, 0, AVX, {0, 0, BIT(12), 0}},                     /* FMA */
    {1, 0, SSE, {0, 0, BIT(28) | BIT(29), 0}},           /* AVX, F16C */
};

static unsigned level;

static long let_cpuid_run(unsigned long allowed)
{
    return syscall(SYS_arch_prctl, SET_CPUID, allowed);
}

static void answer(greg_t *registers)
{
    unsigned leaf = registers[REG_RAX], subleaf = registers[REG_RCX], is[REGISTERS];

    let_cpuid_run(1);
    __cpuid_count(leaf, subleaf, is[EAX], is[EBX], is[ECX], is[EDX]);
    let_cpuid_run(0);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        /* Leaf 1 has no sub-leaves: whatever stands in ECX is the same question. */
        if (table[i].leaf == leaf && (leaf == 1 || table[i].subleaf == subleaf) && table[i].from <= level)
            for (int k = 0; k < REGISTERS; k++)
                is[k] &= ~table[i].bits[k];
    }
    registers[REG_RAX] = is[EAX];
    registers[REG_RBX] = is[EBX];
    registers[REG_RCX] = is[ECX];
    registers[REG_RDX] = is[EDX];
    registers[REG_RIP] += CPUID_BYTES;
}

static void on_fault(int signal_number, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *code = (const unsigned char *)registers[REG_RIP];

    /* A jump into the void faults at the address itself, where there is no code to look at. */
    if (info->si_addr != (void *)code && code[0] == 0x0f && code[1] == 0xa2)
        answer(registers);
    else
        signal(signal_number, SIG_DFL); /* another fault: it happens again, and ends the process */
}

__attribute__((constructor)) static void narrow(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    const char *to = getenv("NARROW_TO");

    for (level = 0; level < LEVELS && (!to || strcmp(to, levels[level])); level++)
        ;
    sigemptyset(&action.sa_mask);
    if (level == LEVELS || sigaction(SIGSEGV, &action, NULL) || let_cpuid_run(0)) {
        fprintf(stderr, "narrow: NARROW_TO is not avx2, avx or sse, or CPUID does not fault here\n");
        exit(1);
    }
}
