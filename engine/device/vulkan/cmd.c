/* Command buffers: lists of dispatches recorded once and submitted many times; the Vulkan side of
 * plans.
 *
 * A plan keeps its dispatches, grouped by op. Sealing it creates pipelines and descriptor sets and
 * records one command buffer; a run is one submit and one bounded wait. Where barriers stand was
 * decided before (plan.c between ops, the lowering inside one). Knows nothing of what ops mean.
 */
#include <config.h>

#include "device/vulkan/runtime.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const uint64_t wait_ns = 120ull * 1000000000u, idle_wait_ns = 5ull * 1000000000u;

/* ---- submit and wait ------------------------------------------------------------------------- */

bool vk_submit(struct vk_dev *vd, VkCommandBuffer cmd, VkFence fence, struct err *e)
{
    VkSubmitInfo info = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &cmd};
    int slot = vd->pending[0] ? 1 : 0;

    VK(vd, QueueSubmit(vd->queue, 1, &info, fence), e);
    vd->pending[slot] = fence;
    return true;
fail:
    return false;
}

static void forget(struct vk_dev *vd, VkFence fence)
{
    for (int i = 0; i < 2; i++)
        if (vd->pending[i] == fence)
            vd->pending[i] = VK_NULL_HANDLE;
}

bool vk_wait(struct vk_dev *vd, VkFence fence, struct err *e)
{
    VkResult r = vd->f->WaitForFences(vd->handle, 1, &fence, VK_TRUE, wait_ns);

    if (r == VK_SUCCESS) {
        forget(vd, fence);
        r = vd->f->ResetFences(vd->handle, 1, &fence);
    }
    if (r == VK_SUCCESS)
        return true;
    /* Whatever went wrong, work may still be running or a fence be in a wrong state: the device
     * cannot be used on. */
    vd->base.failed = true;
    if (r == VK_TIMEOUT)
        FAIL(e, ERR_DEVICE, "the device did not answer within %u seconds",
             (unsigned)(wait_ns / 1000000000u));
    FAIL(e, ERR_DEVICE, "waiting for the device failed (%s)", vk_result_name(r));
}

bool vk_idle(struct vk_dev *vd)
{
    for (int i = 0; i < 2 && !vd->abandoned; i++) {
        if (!vd->pending[i])
            continue;
        vd->abandoned = vd->f->WaitForFences(vd->handle, 1, &vd->pending[i], VK_TRUE,
                                             idle_wait_ns) == VK_TIMEOUT;
        if (!vd->abandoned)
            vd->pending[i] = VK_NULL_HANDLE;
    }
    return !vd->abandoned;
}

bool vk_cmd_init(struct vk_dev *vd, struct vk_cmd *c, struct err *e)
{
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                    .queueFamilyIndex = vd->adapter.queue_family};
    VkCommandBufferAllocateInfo buffer = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                          .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                          .commandBufferCount = 1};
    VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};

    memset(c, 0, sizeof *c);
    VK(vd, CreateCommandPool(vd->handle, &pool, NULL, &c->pool), e);
    buffer.commandPool = c->pool;
    VK(vd, AllocateCommandBuffers(vd->handle, &buffer, &c->buffer), e);
    VK(vd, CreateFence(vd->handle, &fence, NULL, &c->fence), e);
    return true;
fail:
    vk_cmd_release(vd, c);
    return false;
}

void vk_cmd_release(struct vk_dev *vd, struct vk_cmd *c)
{
    if (vk_idle(vd)) {
        vd->f->DestroyFence(vd->handle, c->fence, NULL);
        vd->f->DestroyCommandPool(vd->handle, c->pool, NULL);
    }
    memset(c, 0, sizeof *c);
}

/* ---- records --------------------------------------------------------------------------------- */

struct vk_record {
    struct vk_dev *vd;
    struct vk_cmd cmd;
    VkDescriptorPool sets;
    VkQueryPool times; /* null unless timed */
    uint32_t n_regions;
};

static bool check_range(const struct vk_dev *vd, const struct vk_range *r, uint32_t i,
                        const char *shader, struct err *e)
{
    const struct vk_caps *caps = &vd->adapter.caps;

    if (!r->buf || r->offset % caps->bind_align != 0 || r->bytes == 0 || r->bytes % 16 != 0)
        FAIL(e, ERR_INTERNAL, "%s: binding %u is misaligned or empty", shader, i);
    if (r->bytes > caps->max_bind_bytes)
        FAIL(e, ERR_LIMIT, "%s: binding %u spans %llu bytes, the device allows %llu", shader, i,
             (unsigned long long)r->bytes, (unsigned long long)caps->max_bind_bytes);
    uint64_t size = vk_buf_of(r->buf)->alloc_bytes;
    if (r->offset > size || r->bytes > size - r->offset)
        FAIL(e, ERR_INTERNAL, "%s: binding %u ends outside buffer \"%s\"", shader, i, r->buf->tag);
    return true;
}

static bool check_dispatch(const struct vk_dev *vd, const struct vk_dispatch *x, struct err *e)
{
    const struct vk_caps *caps = &vd->adapter.caps;

    if (x->shader >= vk_n_shaders || x->n_spec > VK_MAX_SPEC || x->n_binds > VK_MAX_BINDS ||
        x->push_bytes > VK_MAX_PUSH || x->push_bytes % 4 != 0)
        FAIL(e, ERR_INTERNAL, "dispatch with impossible counts (shader %u)", x->shader);
    const struct vk_shader *s = &vk_shaders[x->shader];
    if (s->features & ~caps->features) {
        char names[128];
        FAIL(e, ERR_UNSUPPORTED, "%s: the device lacks %s", s->name,
             vk_feature_names(s->features & ~caps->features, names, sizeof names));
    }
    for (int i = 0; i < 3 && !x->indirect; i++)
        if (x->groups[i] > caps->max_workgroup_count[i])
            FAIL(e, ERR_LIMIT, "%s: %u workgroups in dimension %d, the device allows %u", s->name,
                 x->groups[i], i, caps->max_workgroup_count[i]);
    for (uint32_t i = 0; i < x->n_binds; i++)
        if (!check_range(vd, &x->bind[i], i, s->name, e))
            return false;
    if (x->indirect && (x->indirect_offset % 4 != 0 ||
                        x->indirect_offset + 12 > vk_buf_of(x->indirect)->alloc_bytes))
        FAIL(e, ERR_INTERNAL, "%s: group counts outside buffer \"%s\"", s->name, x->indirect->tag);
    return true;
}

static bool create_sets(struct vk_record *r, const struct vk_dispatch *x, uint32_t n, struct err *e)
{
    struct vk_dev *vd = r->vd;
    VkDescriptorPoolSize size = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1};
    VkDescriptorPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                       .maxSets = n ? n : 1,
                                       .poolSizeCount = 1,
                                       .pPoolSizes = &size};

    for (uint32_t i = 0; i < n; i++)
        size.descriptorCount += x[i].n_binds;
    VK(vd, CreateDescriptorPool(vd->handle, &info, NULL, &r->sets), e);
    return true;
fail:
    return false;
}

/* Allocates and fills the descriptor set of one dispatch. */
static bool make_set(struct vk_record *r, const struct vk_dispatch *x, VkDescriptorSetLayout layout,
                     VkDescriptorSet *out, struct err *e)
{
    struct vk_dev *vd = r->vd;
    VkDescriptorSetAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                        .descriptorPool = r->sets,
                                        .descriptorSetCount = 1,
                                        .pSetLayouts = &layout};
    VkDescriptorBufferInfo buffers[VK_MAX_BINDS];
    VkWriteDescriptorSet write = {.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                  .descriptorCount = 1,
                                  .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER};
    VkWriteDescriptorSet writes[VK_MAX_BINDS];

    VK(vd, AllocateDescriptorSets(vd->handle, &info, out), e);
    for (uint32_t i = 0; i < x->n_binds; i++) {
        const struct vk_range *b = &x->bind[i];
        buffers[i] = (VkDescriptorBufferInfo){vk_buf_of(b->buf)->handle, b->offset, b->bytes};
        writes[i] = write;
        writes[i].dstSet = *out;
        writes[i].dstBinding = i;
        writes[i].pBufferInfo = &buffers[i];
    }
    vd->f->UpdateDescriptorSets(vd->handle, x->n_binds, writes, 0, NULL);
    return true;
fail:
    return false;
}

static void barrier(struct vk_record *r, VkPipelineStageFlags from, VkAccessFlags wrote,
                    VkPipelineStageFlags to, VkAccessFlags reads)
{
    VkMemoryBarrier b = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = wrote, .dstAccessMask = reads};
    r->vd->f->CmdPipelineBarrier(r->cmd.buffer, from, to, 0, 1, &b, 0, NULL, 0, NULL);
}

enum {
    USE_STAGES = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_DRAW_INDIRECT_BIT,
    USE_ACCESS = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT |
                 VK_ACCESS_INDIRECT_COMMAND_READ_BIT
};

static void compute_barrier(struct vk_record *r)
{
    barrier(r, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_WRITE_BIT, USE_STAGES,
            USE_ACCESS);
}

static bool record_dispatch(struct vk_record *r, const struct vk_dispatch *x, VkPipeline *bound,
                            struct err *e)
{
    const struct vk_funcs *f = r->vd->f;
    VkCommandBuffer cmd = r->cmd.buffer;
    VkDescriptorSetLayout set_layout;
    VkDescriptorSet set = VK_NULL_HANDLE;
    VkPipelineLayout layout;
    VkPipeline pipe;

    TRY(check_dispatch(r->vd, x, e));
    TRY(vk_pipe_get(r->vd, x, &pipe, e));
    TRY(vk_pipe_layout(r->vd, x->n_binds, &set_layout, &layout, e));
    if (x->barrier)
        compute_barrier(r);
    if (pipe != *bound)
        f->CmdBindPipeline(cmd, VK_PIPELINE_BIND_POINT_COMPUTE, pipe);
    *bound = pipe;
    if (x->n_binds > 0) {
        TRY(make_set(r, x, set_layout, &set, e));
        f->CmdBindDescriptorSets(cmd, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, 1, &set, 0, NULL);
    }
    if (x->push_bytes > 0)
        f->CmdPushConstants(cmd, layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, x->push_bytes, x->push);
    if (x->indirect)
        f->CmdDispatchIndirect(cmd, vk_buf_of(x->indirect)->handle, x->indirect_offset);
    else
        f->CmdDispatch(cmd, x->groups[0], x->groups[1], x->groups[2]);
    return true;
fail:
    return false;
}

static bool record_region(struct vk_record *r, const struct vk_dispatch *x,
                          const struct vk_region *region, VkPipeline *bound, struct err *e)
{
    const struct vk_funcs *f = r->vd->f;
    VkDebugUtilsLabelEXT label = {.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_LABEL_EXT,
                                  .pLabelName = region->label ? region->label : "op"};

    if (region->barrier && !r->times) /* timed regions have one anyway */
        compute_barrier(r);
    if (f->CmdBeginDebugUtilsLabelEXT)
        f->CmdBeginDebugUtilsLabelEXT(r->cmd.buffer, &label);
    for (uint32_t i = 0; i < region->count; i++)
        if (!record_dispatch(r, &x[region->first + i], bound, e))
            return err_prefix(e, "%s", label.pLabelName);
    if (f->CmdEndDebugUtilsLabelEXT)
        f->CmdEndDebugUtilsLabelEXT(r->cmd.buffer);
    return true;
}

static void mark_time(struct vk_record *r, uint32_t i)
{
    if (!r->times)
        return;
    compute_barrier(r);
    r->vd->f->CmdWriteTimestamp(r->cmd.buffer, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, r->times, i);
}

static bool record_all(struct vk_record *r, const struct vk_dispatch *x,
                       const struct vk_region *regions, struct err *e)
{
    struct vk_dev *vd = r->vd;
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    VkPipeline bound = VK_NULL_HANDLE;

    VK(vd, BeginCommandBuffer(r->cmd.buffer, &begin), e);
    if (r->times)
        vd->f->CmdResetQueryPool(r->cmd.buffer, r->times, 0, r->n_regions + 1);
    barrier(r,
            VK_PIPELINE_STAGE_HOST_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT |
                VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
            VK_ACCESS_HOST_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT | VK_ACCESS_SHADER_WRITE_BIT,
            USE_STAGES, USE_ACCESS);
    mark_time(r, 0);
    for (uint32_t i = 0; i < r->n_regions; i++) {
        TRY(record_region(r, x, &regions[i], &bound, e));
        mark_time(r, i + 1);
    }
    barrier(r, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_WRITE_BIT,
            VK_PIPELINE_STAGE_HOST_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
            VK_ACCESS_HOST_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT);
    VK(vd, EndCommandBuffer(r->cmd.buffer), e);
    return true;
fail:
    return false;
}

bool vk_record_create(struct vk_dev *vd, const struct vk_dispatch *x, uint32_t n,
                      const struct vk_region *regions, uint32_t n_regions, bool timed,
                      struct vk_record **out, struct err *e)
{
    struct vk_record *r = mem_zalloc(sizeof *r);
    VkQueryPoolCreateInfo queries = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                     .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                     .queryCount = n_regions + 1};

    r->vd = vd;
    r->n_regions = n_regions;
    TRY(vk_cmd_init(vd, &r->cmd, e));
    TRY(create_sets(r, x, n, e));
    if (timed)
        VK(vd, CreateQueryPool(vd->handle, &queries, NULL, &r->times), e);
    TRY(record_all(r, x, regions, e));
    *out = r;
    return true;
fail:
    vk_record_destroy(&r);
    return false;
}

bool vk_record_run(struct vk_record *r, struct err *e)
{
    return vk_submit(r->vd, r->cmd.buffer, r->cmd.fence, e) && vk_wait(r->vd, r->cmd.fence, e);
}

bool vk_record_times(struct vk_record *r, double *us, struct err *e)
{
    struct vk_dev *vd = r->vd;
    uint32_t n = r->n_regions + 1, bits = vd->adapter.timestamp_bits;
    uint64_t mask = bits >= 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
    double us_per_tick = vd->adapter.props.limits.timestampPeriod / 1000.0;
    uint64_t *ticks = mem_calloc(n, sizeof *ticks);

    VK(vd,
       GetQueryPoolResults(vd->handle, r->times, 0, n, n * sizeof *ticks, ticks, sizeof *ticks,
                           VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT),
       e);
    for (uint32_t i = 0; i < r->n_regions; i++)
        us[i] += (double)((ticks[i + 1] - ticks[i]) & mask) * us_per_tick;
    free(ticks);
    return true;
fail:
    free(ticks);
    return false;
}

void vk_record_destroy(struct vk_record **rp)
{
    struct vk_record *r = *rp;

    *rp = NULL;
    if (!r)
        return;
    if (vk_idle(r->vd)) {
        r->vd->f->DestroyQueryPool(r->vd->handle, r->times, NULL);
        r->vd->f->DestroyDescriptorPool(r->vd->handle, r->sets, NULL);
    }
    vk_cmd_release(r->vd, &r->cmd);
    free(r);
}

bool vk_dispatch_run(struct dev *d, const struct vk_dispatch *x, uint32_t n, struct err *e)
{
    struct vk_region all = {.label = "test", .first = 0, .count = n};
    struct vk_record *r = NULL;

    if (!dev_check(d, e) || !vk_record_create(vk_of(d), x, n, &all, 1, false, &r, e))
        return false;
    bool ok = vk_record_run(r, e);
    vk_record_destroy(&r);
    return ok;
}

/* ---- plans ----------------------------------------------------------------------------------- */

struct vk_plan {
    struct vk_dispatch *list; /* owned */
    uint32_t n, cap;
    struct vk_region *ops; /* owned [plan->n_ops], in the order of plan_add */
    uint32_t n_ops, cap_ops;
    struct vk_region *stages; /* owned [n_ops], in the order of execution */
    struct vk_record *record;
};

bool vk_plan_open(struct plan *p, struct err *e)
{
    (void)e;
    p->priv = mem_zalloc(sizeof(struct vk_plan));
    return true;
}

void vk_plan_close(struct plan *p)
{
    struct vk_plan *v = p->priv;

    if (!v)
        return;
    vk_record_destroy(&v->record);
    free(v->list);
    free(v->ops);
    free(v->stages);
    free(v);
    p->priv = NULL;
}

static void reserve(struct vk_plan *v)
{
    if (v->cap - v->n < VK_MAX_DISPATCH_PER_OP) {
        v->cap = 2 * v->cap + VK_MAX_DISPATCH_PER_OP;
        v->list = mem_realloc(v->list, v->cap * sizeof *v->list);
    }
    if (v->n_ops == v->cap_ops) {
        v->cap_ops = 2 * v->cap_ops + 16;
        v->ops = mem_realloc(v->ops, v->cap_ops * sizeof *v->ops);
    }
}

bool vk_plan_op(struct plan *p, const struct op *op, struct err *e)
{
    struct vk_dev *vd = vk_of(p->dev);
    struct vk_plan *v = p->priv;
    uint32_t n = 0;

    reserve(v);
    struct vk_dispatch *x = &v->list[v->n];
    memset(x, 0, VK_MAX_DISPATCH_PER_OP * sizeof *x);
    if (!vk_lower(&vd->adapter.caps, vd->tier, op, p->step, p->max_rows, p->max_out, x, &n, e))
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (!check_dispatch(vd, &x[i], e))
            return false;
    v->ops[v->n_ops++] = (struct vk_region){.label = op->label, .first = v->n, .count = n};
    v->n += n;
    return true;
}

bool vk_plan_seal(struct plan *p, struct err *e)
{
    struct vk_dev *vd = vk_of(p->dev);
    struct vk_plan *v = p->priv;

    free(v->stages); /* of an attempt that failed */
    v->stages = mem_calloc(v->n_ops + 1u, sizeof *v->stages);
    for (uint32_t i = 0; i < v->n_ops; i++) {
        v->stages[i] = v->ops[p->stages[i].op];
        v->stages[i].barrier = p->stages[i].barrier;
    }
    if (!vk_record_create(vd, v->list, v->n, v->stages, v->n_ops, false, &v->record, e))
        return false;
    v->cap = v->n + 1;
    v->list = mem_realloc(v->list, v->cap * sizeof *v->list); /* grown in powers of two */
    vk_pipes_save(vd);
    return true;
}

bool vk_plan_run(struct plan *p, struct err *e)
{
    struct vk_plan *v = p->priv;
    return vk_record_run(v->record, e);
}

/* Adds up microseconds per stage over all runs. */
static bool time_stages(struct vk_dev *vd, const struct vk_plan *v, int runs, double *us,
                        struct err *e)
{
    struct vk_record *r = NULL;
    bool ok = vk_record_create(vd, v->list, v->n, v->stages, v->n_ops, true, &r, e);

    for (int i = 0; ok && i < runs; i++)
        ok = vk_record_run(r, e) && vk_record_times(r, us, e);
    vk_record_destroy(&r);
    return ok;
}

bool vk_plan_profile(struct plan *p, int runs, double *us, struct err *e)
{
    struct vk_dev *vd = vk_of(p->dev);
    const struct vk_plan *v = p->priv;
    double *sum = mem_calloc(v->n_ops + 1u, sizeof *sum);
    bool ok = vd->adapter.timestamp_bits == 0 || runs < 1 || time_stages(vd, v, runs, sum, e);

    for (uint32_t i = 0; i < v->n_ops; i++)
        us[p->stages[i].op] = runs > 0 ? sum[i] / runs : 0;
    free(sum);
    return ok;
}

void vk_plan_print_op(const struct plan *p, size_t i, FILE *out)
{
    const struct vk_plan *v = p->priv;
    const struct vk_region *op = &v->ops[i];

    for (uint32_t k = 0; k < op->count; k++) {
        const struct vk_dispatch *x = &v->list[op->first + k];
        fprintf(out, "%s%s%s", k ? ", " : "", x->barrier && k ? "| " : "",
                vk_shaders[x->shader].name);
        if (x->indirect)
            fprintf(out, "[indirect]");
        else
            fprintf(out, "[%u,%u,%u]", x->groups[0], x->groups[1], x->groups[2]);
    }
}
