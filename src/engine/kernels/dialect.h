/* dialect.h - OpenCL C and CUDA C++ as one language; it stands before every .k file.
 *
 * Rules of the dialect, which keep one source right in both:
 *  - a kernel is `KERNEL(name)(arguments)`, or `KERNEL_TILE(name, x, y)(...)` when its group's size
 * is fixed; it returns nothing;
 *  - pointers to device memory are KPTR(type, name) arguments, and each is made ready by
 *    KUSE(type, name) before it is read (OpenCL cannot pass a pointer into a buffer, so the offset
 * in bytes comes beside it); elsewhere they are spelled `GLOBAL type *`;
 *  - other arguments are i32, u32 or f32: no size_t, no bool, no struct;
 *  - LOCAL arrays stand at the top of a kernel; functions are DEVICE and static by nature;
 *  - no templates, no overloading, no references, no float atomics: sums over groups are made in
 * two stages, in a fixed order, so that results are the same in every run;
 *  - every work-item of a group reaches every BARRIER();
 *  - indices of elements are u32: a tensor has fewer than 2^32 elements (checked by the planner).
 * What CUDA alone has (tensor cores, shuffles) stands inside #ifdef K_CUDA beside the plain form.
 */
#ifdef __OPENCL_VERSION__
#define K_OPENCL 1
typedef int i32;
typedef uint u32;
typedef float f32;
typedef uchar u8;
typedef ushort u16;
typedef ulong u64;
#define KERNEL(name) __kernel void name
#define KERNEL_TILE(name, x, y) __kernel __attribute__((reqd_work_group_size(x, y, 1))) void name
#define KPTR(type, name) __global type *name, const ulong name##_offset
#define KUSE(type, name) name = (__global type *)((__global char *)name + name##_offset)
#define GLOBAL __global
#define LOCAL __local
#define DEVICE
#define UNROLL __attribute__((opencl_unroll_hint))
#define BARRIER() barrier(CLK_LOCAL_MEM_FENCE)
#define LOCAL_X ((u32)get_local_id(0))
#define LOCAL_Y ((u32)get_local_id(1))
#define GROUP_X ((u32)get_group_id(0))
#define GROUP_Y ((u32)get_group_id(1))
#define GROUP_Z ((u32)get_group_id(2))
#define SIZE_X ((u32)get_local_size(0))
#define SIZE_Y ((u32)get_local_size(1))
#define GROUPS_X ((u32)get_num_groups(0))
#define GROUPS_Y ((u32)get_num_groups(1))
#define GROUPS_Z ((u32)get_num_groups(2))
#define k_exp(x) exp((f32)(x))
#define k_log(x) log((f32)(x))
#define k_sqrt(x) sqrt((f32)(x))
#define k_tanh(x) tanh((f32)(x))
#define k_erf(x) erf((f32)(x))
#define k_pow(x, y) pow((f32)(x), (f32)(y))
#define k_fabs(x) fabs((f32)(x))
#define k_max(x, y) fmax((f32)(x), (f32)(y))
#define k_min(x, y) fmin((f32)(x), (f32)(y))
#define k_fma(x, y, z) mad((f32)(x), (f32)(y), (f32)(z))
#define k_isfinite(x) isfinite((f32)(x))
#define k_bits(x) as_uint((f32)(x))
#define k_float_of_bits(x) as_float((u32)(x))
#define k_mul_hi(x, y) mul_hi((u32)(x), (u32)(y))
#define k_log1p(x) log1p((f32)(x))
#else
#define K_CUDA 1
typedef int i32;
typedef unsigned int u32;
typedef float f32;
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned long long u64;
#define KERNEL(name) extern "C" __global__ void name
#define KERNEL_TILE(name, x, y) extern "C" __global__ void __launch_bounds__((x) * (y)) name
#define KPTR(type, name) type *name
#define KUSE(type, name)
#define GLOBAL
#define LOCAL __shared__
#define DEVICE static __device__ __forceinline__
#define UNROLL _Pragma("unroll")
#define BARRIER() __syncthreads()
#define LOCAL_X (threadIdx.x)
#define LOCAL_Y (threadIdx.y)
#define GROUP_X (blockIdx.x)
#define GROUP_Y (blockIdx.y)
#define GROUP_Z (blockIdx.z)
#define SIZE_X (blockDim.x)
#define SIZE_Y (blockDim.y)
#define GROUPS_X (gridDim.x)
#define GROUPS_Y (gridDim.y)
#define GROUPS_Z (gridDim.z)
#define k_exp(x) expf(x)
#define k_log(x) logf(x)
#define k_sqrt(x) sqrtf(x)
#define k_tanh(x) tanhf(x)
#define k_erf(x) erff(x)
#define k_pow(x, y) powf(x, y)
#define k_fabs(x) fabsf(x)
#define k_max(x, y) fmaxf(x, y)
#define k_min(x, y) fminf(x, y)
#define k_fma(x, y, z) fmaf(x, y, z)
#define k_isfinite(x) isfinite(x)
#define k_bits(x) __float_as_uint(x)
#define k_float_of_bits(x) __uint_as_float(x)
#define k_mul_hi(x, y) __umulhi(x, y)
#define k_log1p(x) log1pf(x)
#endif
/* Index along x of the whole launch, and how many work-items it has: the loop over elements is
 *   for (u32 i = FLAT_X; i < count; i += FLAT_SIZE_X) */
#define FLAT_X (GROUP_X * SIZE_X + LOCAL_X)
#define FLAT_SIZE_X (GROUPS_X * SIZE_X)
#define K_INFINITY k_float_of_bits(0x7f800000u)
#define K_NAN k_float_of_bits(0x7fc00000u)
#define k_isnan(x) ((x) != (x))

/* Words of the control buffer: enum fnl_gpu_control of backend/gpu/gpu.h. */
#define K_CONTROL_NEXT 0
#define K_CONTROL_DONE 1
#define K_CONTROL_STOPPED 2
#define K_CONTROL_STEP_LO 3
#define K_CONTROL_STEP_HI 4
#define K_CONTROL_SCALE 5
#define K_CONTROL_NORM 6

/* Most work-items of a group that adds up: the size of its LOCAL arrays. */
#define K_GROUP_MAX 1024
/* Joins a LOCAL array of one number a work-item as a tree, until `width` are left in its front:
 * element i goes into i % width. The group's size and width are powers of two. The array may be
 * written again after the next BARRIER(). */
#define K_TREE(array, width, JOIN)                                                                 \
    do {                                                                                           \
        BARRIER();                                                                                 \
        for (u32 half_ = SIZE_X / 2; half_ >= (width); half_ /= 2) {                               \
            if (LOCAL_X < half_) {                                                                 \
                (array)[LOCAL_X] = JOIN((array)[LOCAL_X], (array)[LOCAL_X + half_]);               \
            }                                                                                      \
            BARRIER();                                                                             \
        }                                                                                          \
    } while (0)
#define K_PLUS(x, y) ((x) + (y))
#define K_TREE_ADD(array, width) K_TREE(array, width, K_PLUS)
#define K_TREE_MAX(array, width) K_TREE(array, width, k_max)
/* A group works on `width` lines of numbers, with SIZE_X / width lanes each. near: neighbours in
 * the group work on neighbouring lines (whose elements are neighbours in memory), else on
 * neighbouring elements of one line. A lane's place in the LOCAL array of a K_TREE() is K_LANE *
 * width + K_LINE, which leaves line i's result in element i. */
#define K_LANES(width) (SIZE_X / (width))
#define K_LINE(width, near) ((near) ? LOCAL_X % (width) : LOCAL_X / K_LANES(width))
#define K_LANE(width, near) ((near) ? LOCAL_X / (width) : LOCAL_X % K_LANES(width))
