-- Templates of messages; how a rule enqueues or withdraws a message, and how its text is rendered.
-- A message is rendered when a messenger claims it. Functions called for each message are PL/pgSQL,
-- which caches plans; an SQL function with a query would be planned at each call.

create function app.message_templates()
returns table (template text, buttons text[], body text)
language sql immutable
as $$
  values
    ('order_routed', '{Terima,Tolak}'::text[],
      E'Pesanan baru {{order_number}} dari {{partner_name}}.\nIsi pesanan:\n{{lines}}\n'
      'Total: {{grand_total}}\nAlamat kirim: {{address}}\n'
      'Mohon jawab dengan tombol di bawah: Terima atau Tolak.'),
    ('order_withdrawn', '{}',
      'Pesanan {{order_number}} dari {{partner_name}} tidak lagi menjadi tugas Anda: {{reason}}.'
      ' Terima kasih.'),
    ('order_unrouted', '{}',
      'Pesanan {{order_number}} dari {{partner_name}} senilai {{grand_total}} belum punya'
      ' sub-distributor: {{reason}}. Mohon segera ditangani.'),
    ('order_over_limit', '{}',
      'Pesanan {{order_number}} dari {{partner_name}} senilai {{grand_total}} menunggu keputusan'
      ' kredit: {{reason}}. Mohon segera ditangani.'),
    ('order_approval_due', '{}',
      'Pesanan {{order_number}} dari {{partner_name}} senilai {{grand_total}} sudah diterima oleh'
      ' {{subdist_name}} dan menunggu persetujuan.'),
    ('order_delivery_due', '{Masih diproses,Tolak}',
      E'Pesanan {{order_number}} dari {{partner_name}} sudah disetujui. Mohon segera dikirim.\n'
      'Isi pesanan:\n{{lines}}\nAlamat kirim: {{address}}\n'
      'Belum bisa dikirim? Jawab dengan tombol di bawah.'),
    ('order_placed_for_you', '{}',
      'Halo {{partner_name}}, agen kami {{agent_name}} membuat pesanan {{order_number}} senilai'
      ' {{grand_total}} atas nama Anda. Hubungi kami bila ini keliru.'),
    ('order_cancelled_for_you', '{}',
      'Halo {{partner_name}}, agen kami {{agent_name}} membatalkan pesanan {{order_number}} atas'
      ' nama Anda. Hubungi kami bila ini keliru.'),
    ('draft_saved_for_you', '{}',
      'Halo {{partner_name}}, agen kami {{agent_name}} menyimpan rancangan pesanan {{order_number}}'
      ' senilai {{grand_total}} atas nama Anda. Hubungi kami bila ini keliru.'),
    ('reward_redeemed_for_you', '{}',
      'Halo {{partner_name}}, agen kami {{agent_name}} menukarkan {{points}} poin dengan {{reward}}'
      ' atas nama Anda. Hubungi kami bila ini keliru.'),
    ('order_status', '{}',
      'Kabar pesanan {{order_number}}: kini {{status_text}}. Terima kasih.'),
    ('invoice_issued', '{}',
      'Tagihan {{invoice_number}} untuk pesanan {{order_number}} sebesar {{amount}} jatuh tempo'
      ' {{due_date}}. Terima kasih atas kepercayaan Anda.'),
    ('payment_received', '{}',
      'Pembayaran {{amount}} untuk tagihan {{invoice_number}} telah kami terima. Sisa tagihan:'
      ' {{amount_due}}. Terima kasih.'),
    ('invoice_due_soon', '{}',
      'Pengingat: tagihan {{invoice_number}} sebesar {{amount_due}} jatuh tempo pada {{due_date}}.'
      ' Abaikan pesan ini bila Anda sudah membayar. Terima kasih.'),
    ('invoice_overdue', '{}',
      'Tagihan {{invoice_number}} sebesar {{amount_due}} lewat jatuh tempo {{days_overdue}} hari,'
      ' sejak {{due_date}}. Mohon segera dibayar. Abaikan pesan ini bila Anda sudah membayar.'),
    ('invoice_overdue_agent', '{}',
      'Tagihan {{invoice_number}} dari {{partner_name}} sebesar {{amount_due}} lewat jatuh tempo'
      ' {{days_overdue}} hari, sejak {{due_date}}. Mohon bantu menagih.'),
    ('payment_reversed', '{}',
      'Pencatatan pembayaran {{amount}} untuk tagihan {{invoice_number}} kami batalkan. Sisa'
      ' tagihan: {{amount_due}}. Hubungi kami bila ini keliru.'),
    ('credit_note_issued', '{}',
      'Nota kredit {{credit_note_number}} sebesar {{amount}} untuk barang kembali dari pesanan'
      ' {{order_number}} telah terbit. Terima kasih.'),
    ('refund_due', '{}',
      'Tagihan {{invoice_number}} kini dibayar lebih {{amount}}: periksa pengembalian dana.'),
    ('points_vested', '{}',
      'Selamat, {{points}} poin dari pesanan {{order_number}} telah masuk. Saldo Anda sekarang'
      ' {{point_balance}} poin.'),
    ('reward_redeemed', '{}',
      'Penukaran {{reward}} dengan {{points}} poin tercatat. Saldo Anda sekarang {{point_balance}}'
      ' poin.'),
    ('sla_reminder', '{Terima,Tolak}',
      'Pengingat: pesanan {{order_number}} dari {{partner_name}} senilai {{grand_total}} menunggu'
      ' jawaban Anda sejak {{waiting_since}}. Mohon segera dijawab.'),
    ('sla_delivery_reminder', '{Masih diproses,Tolak}',
      'Pengingat: pesanan {{order_number}} dari {{partner_name}} senilai {{grand_total}} sudah'
      ' disetujui dan menunggu pengiriman sejak {{waiting_since}}. Mohon segera dikirim.'),
    ('sla_manager', '{}',
      'Pesanan {{order_number}} dari {{partner_name}} belum {{task}} oleh {{subdist_name}} sejak'
      ' {{waiting_since}}. Mohon bantu menindaklanjuti pesanan ini segera.'),
    ('sla_escalation', '{}',
      'ESKALASI: pesanan {{order_number}} dari {{partner_name}} belum {{task}} oleh'
      ' {{subdist_name}} sejak {{waiting_since}}. Sebab eskalasi: {{reason}}. Mohon pesanan ini'
      ' segera ditangani.'),
    ('sla_hq_reminder', '{}',
      'Pengingat: pesanan {{order_number}} dari {{partner_name}} senilai {{grand_total}} menunggu'
      ' {{task}} oleh kantor pusat sejak {{waiting_since}}. Mohon segera ditangani.'),
    ('sla_hq_escalation', '{}',
      'ESKALASI: pesanan {{order_number}} dari {{partner_name}} senilai {{grand_total}} masih'
      ' menunggu {{task}} oleh kantor pusat sejak {{waiting_since}}. Mohon segera ditangani.'),
    ('sla_task_reminder', '{}',
      'Pengingat: {{task}} untuk {{partner_name}} menunggu kantor pusat sejak {{waiting_since}},'
      ' yaitu {{subject}}. Mohon segera ditangani.'),
    ('sla_task_escalation', '{}',
      'ESKALASI: {{task}} untuk {{partner_name}} masih menunggu kantor pusat sejak'
      ' {{waiting_since}}, yaitu {{subject}}. Mohon segera ditangani.'),
    ('redemption_due', '{}',
      'Penukaran {{reward}} dengan {{points}} poin oleh {{partner_name}} menunggu pengiriman dari'
      ' kantor pusat.'),
    ('redemption_status', '{}',
      'Kabar penukaran {{reward}}: kini {{status_text}}. Terima kasih.'),
    ('button_outdated', '{}',
      'Tombol pada pesan pesanan {{order_number}} sudah tidak berlaku: {{reason}}. Ketukan Anda'
      ' tidak mengubah apa pun.'),
    ('messenger_trouble', '{}',
      'Perhatian: pengiriman WhatsApp terganggu dengan kode {{error_code}} sejak {{since}}. Pesan'
      ' yang gagal dikirim lewat e-mail.'),
    ('whatsapp_notice', '{}',
      'Perhatian: WhatsApp melaporkan gangguan pada akun, nomor atau templat kami: {{event}}. Mohon'
      ' diperiksa di WhatsApp Manager.'),
    ('number_changed', '{}',
      'Nomor WhatsApp milik {{name}} berubah dari {{old_number}} menjadi {{new_number}}. Data di'
      ' Digital Hub belum diubah: mohon dipastikan lalu diperbarui bila benar.'),
    ('erp_trouble', '{}',
      'Perhatian: pertukaran data dengan ERP ({{stream}}) terganggu sejak {{since}}. Keterangan:'
      ' {{error}}. Mohon segera diperiksa.'),
    ('erp_cancel_refused', '{}',
      'Pesanan {{order_number}} dari {{partner_name}} sudah dibatalkan di sini, tetapi ERP menolak'
      ' pembatalannya: {{reason}}. Mohon segera ditangani.'),
    ('inbound_text', '{}',
      E'Pesan WhatsApp dari {{sender}} untuk Anda:\n{{text}}\n'
      'Mohon dijawab langsung ke nomor pengirim.'),
    ('sign_in_link', '{}',
      'Masuk ke Digital Hub Alfa Beauty dengan kode ini: {{token}}. Berlaku {{minutes}} menit,'
      ' untuk satu kali pakai.'),
    ('invitation', '{}',
      'Halo {{name}}, akun Anda di Digital Hub Alfa Beauty sudah siap. Buat kata sandi dengan kode'
      ' ini: {{token}}. Berlaku {{hours}} jam, untuk satu kali pakai.'),
    ('password_reset', '{}',
      'Kode untuk mengganti kata sandi akun {{account}} Anda di Digital Hub Alfa Beauty:'
      ' {{token}}. Berlaku {{minutes}} menit, untuk satu kali pakai. Abaikan pesan ini bila Anda'
      ' tidak memintanya.')
$$;
comment on function app.message_templates() is
  'Texts of all messages, in Indonesian, with {{variables}} and reply buttons';

create function app.carries_token(p_template text) returns boolean
language sql immutable parallel safe
as $$ select p_template in ('sign_in_link', 'invitation', 'password_reset') $$;
comment on function app.carries_token(text) is
  'Whether messages of a template carry a token, which is erased as soon as they are sent';

create function app.message_priority(p_template text) returns smallint
language sql immutable parallel safe
as $$
  select case
    when p_template in ('sign_in_link', 'invitation', 'password_reset') then 0
    when p_template in (
      'order_routed', 'order_withdrawn', 'order_unrouted', 'order_over_limit',
      'order_approval_due', 'order_delivery_due', 'sla_reminder', 'sla_delivery_reminder',
      'sla_manager', 'sla_escalation', 'sla_hq_reminder', 'sla_hq_escalation',
      'sla_task_reminder', 'sla_task_escalation'
    ) then 1
    else 2
  end::smallint
$$;
comment on function app.message_priority(text) is
  'Priority of messages of a template: what someone waits for is sent before what only informs';

create function app.format_rupiah(p_amount numeric) returns text language plpgsql stable
as $$
begin
  return case when p_amount < 0 then '-' else '' end || 'Rp'
    || translate(to_char(abs(trunc(p_amount)), 'FM999,999,999,999,999,990'), ',', '.')
    || case
      when p_amount <> trunc(p_amount)
        then ',' || to_char(abs(p_amount - trunc(p_amount)) * 100, 'FM00')
      else ''
    end;
end $$;
comment on function app.format_rupiah(numeric) is
  'Amount in Indonesian notation: Rp1.250.000, or Rp1.250.000,50 when it has a fraction';

create function app.enqueue_message(
  p_template text, p_recipient_type text, p_recipient_id uuid, p_order_id uuid default null,
  p_variables jsonb default '{}'
)
returns uuid language plpgsql volatile
as $$
declare
  v_id uuid;
begin
  insert into app.messages (
    template, recipient_type, recipient_id, order_id, variables, priority
  ) values (
    p_template, p_recipient_type, p_recipient_id, p_order_id, p_variables,
    app.message_priority(p_template)
  ) returning id into v_id;
  return v_id;
end $$;
comment on function app.enqueue_message(text, text, uuid, uuid, jsonb) is
  'Enqueues a message in the caller''s transaction; returns its id';

-- Messages are inserted by this function, enqueue_message, notify_headquarters, the sweeps of the
-- service level and send_invoice_reminders only.
create function app.enqueue_messages(
  p_template text, p_recipient_type text, p_recipient_ids uuid[], p_order_id uuid,
  p_variables jsonb, p_channel app.notification_channel_enum default 'WHATSAPP',
  p_expires_at timestamptz default null
)
returns uuid[] language plpgsql volatile
as $$
declare
  v_ids uuid[];
begin
  with inserted as (
    insert into app.messages (
      template, channel, recipient_type, recipient_id, order_id, variables, priority, expires_at
    )
    select
      p_template, p_channel, p_recipient_type, r.id, p_order_id, p_variables,
      app.message_priority(p_template), p_expires_at
    from unnest(p_recipient_ids) as r (id)
    returning id
  )

  select coalesce(array_agg(i.id), '{}') into v_ids from inserted as i;
  return v_ids;
end $$;
comment on function app.enqueue_messages(
  text, text, uuid[], uuid, jsonb, app.notification_channel_enum, timestamptz
) is
  'Enqueues a message to each of these recipients in the caller''s transaction; returns their ids';

-- Lock order: partners, orders, messages (the first two as everywhere: D-3.orders-9), each in the
-- order of their ids and all before the first is changed.
create function app.lock_messages(p_message_ids uuid[], p_order_ids uuid[])
returns void language plpgsql volatile
as $$
begin
  if p_order_ids <> '{}' then
    perform from app.partners as p
    where p.id in (select o.partner_id from app.orders as o where o.id = any (p_order_ids))
    order by p.id for no key update;
    perform from app.orders as o
    where o.id = any (p_order_ids) order by o.id for no key update;
  end if;
  perform from app.messages as m
  where m.id = any (array(
      select unnest(p_message_ids)
      union
      select o.id from app.messages as o
      where o.order_id = any (p_order_ids)
        and o.status in ('HELD', 'PENDING', 'CLAIMED', 'UNKNOWN', 'SENT')
    ))
  order by m.id for no key update;
end $$;
comment on function app.lock_messages(uuid[], uuid[]) is
  'Locks these messages, and these orders with their partners and the messages that a transition '
  'may withdraw, for a transaction that changes several of them';

-- A claimed message may still be sent, but is neither retried nor sent by e-mail.
create function app.withdraw_messages(
  p_order_id uuid, p_templates text[], p_why text, p_recipient_id uuid default null
)
returns void language plpgsql volatile
as $$
begin
  -- All that a later call of the same transition may withdraw, in the order of messages_sent.
  perform from app.messages as m
  where m.order_id = p_order_id and m.status in ('HELD', 'PENDING', 'CLAIMED', 'UNKNOWN', 'SENT')
  order by m.id for no key update;
  update app.messages as m set
    status = case when m.status in ('HELD', 'PENDING') then 'WITHDRAWN' else m.status end,
    error_code = case when m.status in ('HELD', 'PENDING') then p_why else m.error_code end,
    expires_at = now()
  where m.order_id = p_order_id and m.template = any (p_templates)
    and m.recipient_id = coalesce(p_recipient_id, m.recipient_id)
    and m.status in ('HELD', 'PENDING', 'CLAIMED', 'UNKNOWN', 'SENT');
end $$;
comment on function app.withdraw_messages(uuid, text[], text, uuid) is
  'Withdraws messages of an order that are outdated; the caller has locked the order';

create function app.withdraw_offer(p_order_id uuid, p_subdist_id uuid, p_reason text)
returns void language plpgsql volatile
as $$
begin
  perform app.withdraw_messages(
    p_order_id, '{order_routed,order_delivery_due}', 'withdrawn', p_subdist_id);
  perform app.enqueue_message('order_withdrawn', 'SUBDIST', p_subdist_id, p_order_id,
    jsonb_build_object('reason', p_reason));
end $$;
comment on function app.withdraw_offer(uuid, uuid, text) is
  'Notifies a sub-distributor that an order is no longer routed to them, and withdraws its offer';

create function app.headquarters() returns uuid[] language plpgsql stable
as $$
begin
  return array(
    select a.id from app.agents as a
    where a.role in ('ADMIN', 'SUPERADMIN') and a.is_active order by a.id
  );
end $$;
comment on function app.headquarters() is 'Ids of the active admins and superadmins';

create function app.notify_headquarters(
  p_template text, p_order_id uuid, p_variables jsonb default '{}',
  p_channel app.notification_channel_enum default 'WHATSAPP'
)
returns void language plpgsql volatile
as $$
declare
  v_recipient_ids uuid[] := app.headquarters();
begin
  if v_recipient_ids <> '{}' then
    perform app.enqueue_messages(
      p_template, 'AGENT', v_recipient_ids, p_order_id, p_variables, p_channel);
  else
    insert into app.messages (
      template, channel, recipient_type, recipient_id, order_id, variables, priority, status
    ) values (
      p_template, p_channel, 'AGENT', '00000000-0000-0000-0000-000000000000', p_order_id,
      p_variables, app.message_priority(p_template), 'HELD'
    );
  end if;
end $$;
comment on function app.notify_headquarters(
  text, uuid, jsonb, app.notification_channel_enum
) is
  'Enqueues a message to every active admin and superadmin; it is held while there is none';

create function app.order_variables(p_order_id uuid, p_with_lines boolean)
returns jsonb language plpgsql stable
as $$
begin
  if p_order_id is null then
    return '{}'::jsonb;
  end if;
  return (
    select jsonb_build_object(
      'order_number', o.order_number,
      'partner_name', p.business_name,
      'address', coalesce(p.address, '-'),
      'grand_total', app.format_rupiah(o.grand_total),
      'agent_name', a.full_name,
      'subdist_name', (
        select s.business_name from app.sub_distributors as s where s.id = o.routed_to_subdist_id
      ),
      'point_balance', p.point_balance,
      'lines', case when p_with_lines then (
        select string_agg(
          '- ' || i.quantity || ' x ' || pr.name || ' (' || pr.sku || ')', E'\n' order by pr.sku)
        from app.order_items as i join app.products as pr on pr.id = i.product_id
        where i.order_id = o.id
      ) end
    )
    from app.orders as o
    join app.partners as p on p.id = o.partner_id
    left join app.agents as a on a.id = o.agent_id
    where o.id = p_order_id
  );
end $$;
comment on function app.order_variables(uuid, boolean) is
  'Template variables of an order; its lines only on request, because they are the expensive part';

-- In one pass, so that a value that contains {{...}} is never expanded itself: partners choose
-- their own names.
create function app.render_message(p_body text, p_variables jsonb)
returns text language plpgsql immutable
as $$
begin
  return (
    select string_agg(
      case
        when t.number % 2 = 1 then t.part
        when p_variables ? t.part then coalesce(p_variables ->> t.part, '-')
        else '{{' || t.part || '}}'
      end, '' order by t.number)
    from unnest(regexp_split_to_array(p_body, '\{\{|\}\}')) with ordinality as t (part, number)
  );
end $$;
comment on function app.render_message(text, jsonb) is
  'Text of a template with its variables filled in';

create function app.recipient_address(
  p_type text, p_id uuid, p_channel app.notification_channel_enum
)
returns text language plpgsql stable
as $$
begin
  case p_type
    when 'PARTNER' then return (
      select case p_channel when 'WHATSAPP' then p.phone else p.email end
      from app.partners as p where p.id = p_id and p.deleted_at is null
    );
    when 'SUBDIST' then return (
      select case p_channel when 'WHATSAPP' then s.whatsapp_number else s.email end
      from app.sub_distributors as s where s.id = p_id
    );
    else return (
      select case p_channel when 'WHATSAPP' then a.phone else a.email end
      from app.agents as a where a.id = p_id
    );
  end case;
end $$;
comment on function app.recipient_address(text, uuid, app.notification_channel_enum) is
  'Current phone number (E.164) or e-mail address of a recipient; null if unknown or deleted';
