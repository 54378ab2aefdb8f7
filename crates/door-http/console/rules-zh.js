// 各诊断规则的简体中文说明；英文由代理提供。

export const RULES_ZH = {
  E101: {
    title: '存储故障：不再确认任何消息',
    cause: '一次写入或同步失败。磁盘上的内容在重新读取之前无法确定，因此代理停止确认。',
    remedy: '检查磁盘（dmesg、smartctl），如果磁盘已满则先腾出空间，然后重启代理：它会读回磁盘上的内容。已确认的消息都不依赖失败的写入。',
  },
  E102: {
    title: '磁盘已满：拒绝接收消息',
    cause: '主题保留的数据超过磁盘容量，或有其他程序占满了磁盘。',
    remedy: '腾出空间：缩短保留（retention.ms、retention.bytes）、删除主题或扩容磁盘。代理会自行恢复。',
  },
  W103: {
    title: '磁盘即将占满',
    cause: '写入的数据多于按保留策略删除的数据，或保留策略尚未开始删除。',
    remedy: '查看哪些主题在增长（按大小排序），用 retention.bytes 限制它们；或扩容磁盘。',
  },
  W104: {
    title: '同步缓慢',
    cause: '磁盘持久化数据耗时过长：设备缓慢或繁忙、受其他程序影响，或缓存没有电池保护。发布者会因此等待。',
    remedy: '检查设备（iostat -x）以及还有谁在使用它。若可以接受断电丢失最后片刻的数据，可设置 entrepot.durability = os。',
  },
  W201: {
    title: '内存即将用尽',
    cause: '大量连接发送大请求，或队列保存在内存中；也可能是上限过低。',
    remedy: '查看 entrepot_connections 和 entrepot_queues_ready_messages。提高上限，或降低 queued.max.request.bytes 并限制队列长度。',
  },
  W202: {
    title: '文件描述符即将用尽',
    cause: '每个连接和每个打开的段各占一个；之后系统会拒绝新连接。',
    remedy: '提高 LimitNOFILE（systemd）或 ulimit -n，并查看哪个监听器的连接过多。',
  },
  W203: {
    title: '系统时钟被调整',
    cause: '系统时钟与单调时钟出现偏差：时间同步发生了跳变，或有人修改了时间。时间戳、保留和过期都依赖它。',
    remedy: '让时钟平滑调整而不是跳变（chrony：仅在启动时 makestep）。若时间很重要，请检查这几分钟内的消息。',
  },
  W301: {
    title: '大量登录失败',
    cause: '某个客户端用旧密码反复尝试，或有人在猜测密码。',
    remedy: '查看来自哪个地址（connection.login_failed 事件）：更新客户端的密码，或封禁该地址。',
  },
  W302: {
    title: '客户端违反协议',
    cause: '使用其他协议的程序访问了此端口（探测、扫描、端口配置错误），或客户端有缺陷。',
    remedy: '查看来自哪个地址、做了什么（connection.protocol_error 事件）。',
  },
  W303: {
    title: '连接被拒绝',
    cause: '总连接数或单个地址的连接数达到上限，或某个地址建立连接过快。',
    remedy: '找出谁在泄漏连接；或提高 network.max_connections、network.max_connections_per_ip。',
  },
  W304: {
    title: '连接频繁建立和断开',
    cause: '客户端每条消息都新建连接，或断开后不断重连：每次都要握手，有时还要登录。',
    remedy: '让客户端保持连接。若是被断开，请用 entrepot_connections_failed_total 查看原因。',
  },
  E305: {
    title: '连接任务异常终止',
    cause: '代理内部错误。只有该连接中断。',
    remedy: '请连同前后日志一起反馈。',
  },
  W306: {
    title: '客户端读取过慢',
    cause: '投递给客户端的消息多于其处理能力：按照协议，它丢失了消息或被断开。',
    remedy: '加快消费者，或由多个消费者分担；或让主题或队列保存来不及处理的消息。',
  },
  W401: {
    title: '消费组停止消费',
    cause: '成员挂起、失去连接，或在同一条消息上反复失败；也可能已没有成员。',
    remedy: '查看是否有成员以及它们的日志。若某条消息无法处理，可将消费组的位移移到其后。',
  },
  W402: {
    title: '消费组落后',
    cause: '发布的消息多于成员的处理能力。',
    remedy: '增加成员（不超过分区数），或加快处理。查看积压是否集中在某个分区。',
  },
  E403: {
    title: '消息在消费组读取之前被删除',
    cause: '保留策略删除了消费组尚未提交的消息。',
    remedy: '将主题的 retention.ms 和 retention.bytes 延长到超过消费组的最长停顿，并加快消费。已删除的无法恢复。',
  },
  W404: {
    title: '消费组反复再平衡',
    cause: '成员不断加入和离开，或两次拉取之间耗时过长而被视为离开。',
    remedy: '在客户端提高 max.poll.interval.ms 或降低 max.poll.records；若经常重启，请使用静态成员（group.instance.id）。',
  },
  W405: {
    title: '队列不断增长且无人消费',
    cause: '消费者已离开，或绑定后被遗忘。',
    remedy: '启动消费者，清空或删除队列，或限制队列（最大长度、存活时间）。',
  },
};
