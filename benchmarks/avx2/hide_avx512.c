/* Make this process believe that its processor ends at AVX2.
 *
 * Loaded by LD_PRELOAD. CPUID then faults (arch_prctl ARCH_CPUID_SET, Linux 4.12, processors with
 * "cpuid_fault"), and the fault handler answers in its place, without the bits of AVX-512, AMX and
 * the VNNI forms of AVX. Libraries that ask CPUID, as ONNX Runtime, MNN and OpenVINO do, take their
 * AVX2 kernels; the instructions themselves would still run.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { SET_CPUID = 0x1012, FEATURES_LEAF = 7, CPUID_BYTES = 2 };

#define BIT(n) (1u << (n))
/* Intel SDM, CPUID leaf 7: F DQ IFMA PF ER CD BW VL, VBMI VBMI2 VNNI BITALG VPOPCNTDQ, and
 * 4VNNIW 4FMAPS VP2INTERSECT AMX-BF16 FP16 AMX-TILE AMX-INT8; sub-leaf 1: AVX-VNNI, BF16, AMX-FP16. */
static const unsigned wide_ebx = BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31);
static const unsigned wide_ecx = BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14);
static const unsigned wide_edx = BIT(2) | BIT(3) | BIT(8) | BIT(22) | BIT(23) | BIT(24) | BIT(25);
static const unsigned wide_eax_1 = BIT(4) | BIT(5) | BIT(21);

static long let_cpuid_run(unsigned long allowed)
{
    return syscall(SYS_arch_prctl, SET_CPUID, allowed);
}

static void answer(greg_t *registers)
{
    unsigned leaf = registers[REG_RAX], subleaf = registers[REG_RCX];
    unsigned eax, ebx, ecx, edx;

    let_cpuid_run(1);
    __cpuid_count(leaf, subleaf, eax, ebx, ecx, edx);
    let_cpuid_run(0);
    if (leaf == FEATURES_LEAF && subleaf == 0) {
        ebx &= ~wide_ebx;
        ecx &= ~wide_ecx;
        edx &= ~wide_edx;
    } else if (leaf == FEATURES_LEAF && subleaf == 1) {
        eax &= ~wide_eax_1;
    }
    registers[REG_RAX] = eax;
    registers[REG_RBX] = ebx;
    registers[REG_RCX] = ecx;
    registers[REG_RDX] = edx;
    registers[REG_RIP] += CPUID_BYTES;
}

static void on_fault(int signal_number, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *code = (const unsigned char *)registers[REG_RIP];

    (void)info;
    /* A jump into the void faults at the address itself, where there is no code to look at. */
    if (info->si_addr != (void *)code && code[0] == 0x0f && code[1] == 0xa2)
        answer(registers);
    else
        signal(signal_number, SIG_DFL); /* A fault of another kind happens again, and ends the process. */
}

__attribute__((constructor)) static void hide(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};

    sigemptyset(&action.sa_mask);
    if (sigaction(SIGSEGV, &action, NULL) || let_cpuid_run(0)) {
        perror("hide_avx512");
        exit(1);
    }
}
